"""Encoders: logits of words and of sentences equal transformers' to 1e-5, the loss of both, every gradient to 1e-4 of its norm.

Samples hold several documents, which transformers reads one by one.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.parity.encoders import ENCODERS
from tests.parity.families import VOCAB
from tests.parity.reference import beside_theirs, of_folder_and_batch
from tests.parity.test_parity import compare, perturbed

LENGTH, SAMPLES = 19, [(9, 5, 3), (19,), (4, 14)]  # tokens of each document; what is left is padding


@pytest.mark.compares("transformers", models="family")
@pytest.mark.parametrize("family", ENCODERS)
def test_equals_transformers(family, pool, request, tmp_path):
    torch.manual_seed(0)
    reference, batch = perturbed(family()), made()
    theirs, sentences, loss = read_one_by_one(reference, batch)
    reference.save_pretrained(tmp_path / "weights")
    (logits, scores), our_loss, gradients = pool.run(of_folder_and_batch, 1, tmp_path / "weights", batch)[0]
    pairs = beside_theirs(gradients, reference, tmp_path / "gradients")
    torch.testing.assert_close(scores, sentences, rtol=0, atol=1e-5)
    compare(family, request, (logits[batch["documents"] >= 0], our_loss, pairs), (theirs, loss))


def made() -> dict[str, torch.Tensor]:
    rows = len(SAMPLES)
    batch = {name: torch.randint(0, VOCAB, (rows, LENGTH)) for name in ("input_ids", "labels")}
    batch["token_types"] = torch.randint(0, 3, (rows, LENGTH))
    batch["position_ids"] = torch.zeros(rows, LENGTH, dtype=torch.long)
    batch["documents"] = torch.full((rows, LENGTH), -1)
    batch["sentence_labels"] = torch.full((rows, LENGTH), -1)
    for row, sizes in enumerate(SAMPLES):
        for number, size in enumerate(sizes):
            at = sum(sizes[:number])
            batch["position_ids"][row, at : at + size] = torch.arange(size)
            batch["documents"][row, at : at + size] = number
            batch["sentence_labels"][row, at] = (row + number) % 2
    free = (batch["documents"] >= 0) & (batch["sentence_labels"] < 0)
    batch["loss_mask"] = ((torch.rand(rows, LENGTH) < 0.4) & free).float()
    return batch


def read_one_by_one(reference, batch):
    """`(logits of all tokens, logits of all sentences, loss)`; the gradients are with the parameters."""
    words, sentences, loss = [], [], 0.0
    for row, sizes in enumerate(SAMPLES):
        for number in range(len(sizes)):
            own, first = batch["documents"][row] == number, sum(sizes[:number])
            found = reference(input_ids=batch["input_ids"][row, own][None], token_type_ids=batch["token_types"][row, own][None])
            words.append(found.prediction_logits[0])
            sentences.append(found.seq_relationship_logits[0])
            nats = F.cross_entropy(words[-1], batch["labels"][row, own], reduction="none")
            nats = nats + F.cross_entropy(sentences[-1], batch["sentence_labels"][row, first])
            loss = loss + (nats * batch["loss_mask"][row, own]).sum()  # a sentence counts as the document has words to predict
    loss = loss / batch["loss_mask"].sum()
    loss.backward()
    return torch.cat(words), torch.stack(sentences), loss
