"""Causal language modelling: −Σ log p(tokenₜ | tokens before t), every token but the first a target. `--objective causal_lm`"""

from __future__ import annotations

import numpy as np
import torch

from megatron_ext.data.samples import NO_TOKEN
from megatron_ext.models.attention.tokens import documents_of, positions_of
from megatron_ext.objectives import PLAIN, Reading
from megatron_ext.objectives.reading.pairs import NOTHING, Asked


def batch(tokens: torch.Tensor, reading: Reading = PLAIN) -> dict[str, torch.Tensor]:
    """tokens `[b, s + 1]` → `input_ids`, `labels`, `position_ids` and fp32 `loss_mask`, each `[b, s]`.

    With `reset_attention_mask` also `documents`, `[b, s]`. `NO_TOKEN`, past the end of a data set, is no target, and reads as
    token 0.
    """
    mask, tokens = tokens[:, 1:] != NO_TOKEN, tokens.clamp(min=0)
    inputs, labels = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
    positions = torch.arange(inputs.shape[1], device=tokens.device).expand_as(inputs)
    if reading.eod_mask_loss:
        mask = mask & (inputs != reading.eod)
    found = {"input_ids": inputs, "labels": labels, "position_ids": positions, "loss_mask": mask.float()}
    if reading.reset_position_ids or reading.reset_attention_mask:
        documents = documents_of(inputs, reading.eod)
        if reading.reset_position_ids:
            found["position_ids"] = positions_of(documents)
        if reading.reset_attention_mask:
            found["documents"] = documents
    return found


def loss(per_token: torch.Tensor, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """per_token nats `[b, s]` → (their masked sum, the number of targets)."""
    mask = batch["loss_mask"]
    return torch.sum(per_token * mask), mask.sum().to(torch.int)


def continued(ids: np.ndarray) -> Asked:
    """What asks to go on with a text."""
    return Asked(NOTHING, ids)
