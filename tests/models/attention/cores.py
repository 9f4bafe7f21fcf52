"""A core attention by itself, without a model's configuration."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from megatron_ext.models.attention.backend import Asked, Choice, choices
from megatron_ext.models.attention.core import PATTERNS, CoreAttention
from megatron_ext.models.attention.tokens import Limits, Tokens

__all__ = ["LIMITS", "Limits", "Tokens", "core"]

LIMITS = Limits(window=5)


def core(
    pattern: str,
    cap: float | None = None,
    bias=None,
    limits: Limits = LIMITS,
    learns_bias: bool = False,
    kernel: str | None = None,
) -> CoreAttention:
    """`kernel` None is the one that a model would have."""
    position = "t5_bias" if learns_bias else "none" if bias is None else "alibi"
    asked = Asked(patterns=(pattern,), position=position, cap=cap is not None)
    module = CoreAttention.__new__(CoreAttention)
    torch.nn.Module.__init__(module)
    module.dropout, module.softmax_scale, module.limits, module.cap = 0.0, None, limits, cap
    module.bias, module.learns_bias = (None if bias is None else lambda: bias), learns_bias
    module.pattern, module.turn = PATTERNS.load(pattern), 0
    module.config = SimpleNamespace(
        attention_on=lambda device: choices(asked, device, False) if kernel is None else (Choice(kernel),)
    )
    return module
