"""Encoders: logits of words and of sentences equal transformers' to 1e-5, the loss of both, every gradient to 1e-4 of its norm.

Samples hold several documents, which transformers reads one by one.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from tests.parity.encoders import ENCODERS
from tests.parity.families import VOCAB
from tests.parity.reference import beside_theirs, of_folder_and_batch, opened
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


MASK = 7
MASKED = [[5, MASK, 99, 3], [MASK], [MASK, 11, 120, MASK, 31, 8, 2, 90, 11]]


def filled(launch, folder):
    """`(number of the text, what stands behind each mask)`."""
    with opened(launch, folder) as (_, model):
        from megatron_ext.inference.fill_mask import fill
        from megatron_ext.inference.prompts import Request

        requests = [Request(number, 0, "", tuple(ids)) for number, ids in enumerate(MASKED)]
        found = fill(SimpleNamespace(model=model, device=torch.device("cpu")), requests, MASK, 4, 2)
        return [(each.request.number, each.masks) for each in found]


@pytest.mark.parametrize("family", ENCODERS)
def test_masks_are_filled_with_what_transformers_finds_likely(family, pool, tmp_path):
    torch.manual_seed(0)
    reference = perturbed(family())
    reference.save_pretrained(tmp_path)
    expected = []
    for number, ids in enumerate(MASKED):
        words = reference(input_ids=torch.tensor([ids])).prediction_logits[0]
        likely = [words[place].softmax(-1).topk(4) for place, token in enumerate(ids) if token == MASK]
        expected.append((number, [list(zip(each.indices.tolist(), each.values.tolist())) for each in likely]))
    for (number, masks), (theirs, others) in zip(pool.run(filled, 1, tmp_path)[0], expected, strict=True):
        assert number == theirs
        for mask, other in zip(masks, others, strict=True):
            assert [token for token, _ in mask] == [token for token, _ in other]
            assert [share for _, share in mask] == pytest.approx([share for _, share in other], abs=1e-6)


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
