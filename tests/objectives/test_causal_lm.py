"""Causal language modelling: inputs, labels and the masked sum."""

from __future__ import annotations

import torch

from megatron_ext.data.samples import NO_TOKEN
from megatron_ext.objectives import Reading, causal_lm


def test_labels_are_the_inputs_shifted_by_one():
    batch = causal_lm.batch(torch.tensor([[5, 6, 7, 8], [1, 2, 3, 4]]))
    assert batch["input_ids"].tolist() == [[5, 6, 7], [1, 2, 3]]
    assert batch["labels"].tolist() == [[6, 7, 8], [2, 3, 4]]
    assert batch["position_ids"].tolist() == [[0, 1, 2], [0, 1, 2]]


def test_past_the_end_of_the_data_there_is_no_target():
    batch = causal_lm.batch(torch.tensor([[5, 6, NO_TOKEN, NO_TOKEN], [NO_TOKEN] * 4]))
    assert batch["loss_mask"].tolist() == [[1, 0, 0], [0, 0, 0]]
    assert batch["input_ids"].tolist() == [[5, 6, 0], [0, 0, 0]]
    assert batch["labels"].tolist() == [[6, 0, 0], [0, 0, 0]]


def test_loss_is_the_sum_over_unmasked_targets():
    batch = causal_lm.batch(torch.zeros((2, 4), dtype=torch.long))
    batch["loss_mask"][0, 1] = 0.0
    total, count = causal_lm.loss(torch.arange(6.0).reshape(2, 3), batch)
    assert (total.item(), count.item()) == (14.0, 5)


def test_what_follows_a_document_is_no_target():
    """With --eod-mask-loss; the end of a document itself is one."""
    found = causal_lm.batch(torch.tensor([[5, 9, 7, 8, 9]]), Reading(eod=9, eod_mask_loss=True))
    assert found["loss_mask"].tolist() == [[1, 0, 1, 1]]


def test_documents_that_are_reset():
    found = causal_lm.batch(torch.tensor([[5, 9, 7, 8, 9]]), Reading(9, reset_position_ids=True, reset_attention_mask=True))
    assert found["documents"].tolist() == [[0, 0, 1, 1]] and found["position_ids"].tolist() == [[0, 1, 0, 1]]
    assert "documents" not in causal_lm.batch(torch.tensor([[5, 9, 7]]))
