"""Encoder-decoders: logits equal transformers' to 1e-5, the loss, and every gradient to 1e-4 of its norm.

Samples hold several documents, each with its own tokens in the encoder and in the decoder; transformers reads them one by one.
"""

from __future__ import annotations

import pytest
import torch

from tests.parity.encoder_decoders import ENCODER_DECODERS
from tests.parity.families import VOCAB
from tests.parity.reference import beside_theirs, of_folder_and_batch
from tests.parity.test_parity import compare, perturbed

# Of each document in a sample, its tokens in the encoder and in the decoder; what is left is padding.
SAMPLES = [[(7, 6), (4, 5)], [(12, 11)], [(1, 2), (3, 1), (6, 7)]]
LENGTHS = (13, 12)


@pytest.mark.compares("transformers", models="family")
@pytest.mark.parametrize("family", ENCODER_DECODERS)
def test_equals_transformers(family, pool, request, tmp_path):
    torch.manual_seed(0)
    reference, batch = perturbed(family()), made()
    theirs = read_one_by_one(reference, batch)
    reference.save_pretrained(tmp_path / "weights")
    logits, loss, gradients = pool.run(of_folder_and_batch, 1, tmp_path / "weights", batch)[0]
    pairs = beside_theirs(gradients, reference, tmp_path / "gradients")
    compare(family, request, (logits[batch["loss_mask"] > 0], loss, pairs), theirs)


def made() -> dict[str, torch.Tensor]:
    """A batch of `SAMPLES` with random tokens."""
    rows, batch = len(SAMPLES), {}
    for prefix, length in zip(("", "decoder_"), LENGTHS):
        batch[f"{prefix}input_ids"] = torch.randint(0, VOCAB, (rows, length))
        batch[f"{prefix}position_ids"] = torch.zeros(rows, length, dtype=torch.long)
        batch[f"{prefix}documents"] = torch.full((rows, length), -1)
    for row, prefix, at, size, number in places():
        batch[f"{prefix}position_ids"][row, at : at + size] = torch.arange(size)
        batch[f"{prefix}documents"][row, at : at + size] = number
    batch["labels"] = torch.randint(0, VOCAB, (rows, LENGTHS[1]))
    batch["loss_mask"] = (batch["decoder_documents"] >= 0).float()
    return batch


def places():
    """`(row, stretch, first token, tokens, number)` of each document."""
    for row, documents in enumerate(SAMPLES):
        for half, prefix in enumerate(("", "decoder_")):
            at = 0
            for number, sizes in enumerate(documents):
                yield row, prefix, at, sizes[half], number
                at += sizes[half]


def read_one_by_one(reference, batch):
    """`(logits of all documents' tokens, mean loss)`; the gradients are with the parameters."""
    found, labels = [], []
    for row, documents in enumerate(SAMPLES):
        for number in range(len(documents)):
            ids, own = (batch[f"{p}input_ids"][row, batch[f"{p}documents"][row] == number][None] for p in ("", "decoder_"))
            found.append(reference(input_ids=ids, decoder_input_ids=own).logits[0])
            labels.append(batch["labels"][row, batch["decoder_documents"][row] == number])
    logits = torch.cat(found)
    loss = torch.nn.functional.cross_entropy(logits, torch.cat(labels))
    loss.backward()
    return logits, loss
