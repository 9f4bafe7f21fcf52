"""A core attention by itself, without a model's configuration."""

from __future__ import annotations

import torch

from megatron_ext.models.attention.core import PATTERNS, CoreAttention
from megatron_ext.models.attention.tokens import Limits, Tokens

__all__ = ["LIMITS", "Limits", "Tokens", "core"]

LIMITS = Limits(window=5, prefix=6)


def core(pattern: str, cap: float | None = None, bias=None, limits: Limits = LIMITS, learns_bias: bool = False) -> CoreAttention:
    module = CoreAttention.__new__(CoreAttention)
    torch.nn.Module.__init__(module)
    module.dropout, module.softmax_scale, module.limits, module.cap = 0.0, None, limits, cap
    module.bias, module.learns_bias = (None if bias is None else lambda: bias), learns_bias
    module.pattern, module.plain = PATTERNS.load(pattern), pattern == "causal"
    return module
