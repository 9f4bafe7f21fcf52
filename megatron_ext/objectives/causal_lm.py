"""Causal language modelling: −Σ log p(tokenₜ | tokens before t), every token but the first a target. `--objective causal_lm`"""

from __future__ import annotations

import torch


def batch(tokens: torch.Tensor) -> dict[str, torch.Tensor]:
    """tokens `[b, s + 1]` → `input_ids`, `labels`, `position_ids` and fp32 `loss_mask`, each `[b, s]`."""
    inputs, labels = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
    positions = torch.arange(inputs.shape[1], device=tokens.device).expand_as(inputs)
    return {
        "input_ids": inputs,
        "labels": labels,
        "position_ids": positions,
        "loss_mask": torch.ones(labels.shape, dtype=torch.float32, device=tokens.device),
    }


def loss(per_token: torch.Tensor, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """per_token nats `[b, s]` → (their masked sum, the number of targets)."""
    mask = batch["loss_mask"]
    return torch.sum(per_token * mask), mask.sum().to(torch.int)
