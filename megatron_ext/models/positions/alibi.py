"""ALiBi: each head adds −m · (i − j) to the score of query i and key j; its slope m is no parameter (arXiv:2108.12409).

Slopes are 2^(−8k/n) for heads k = 1 … n where n is a power of two; otherwise those of the next lower power, and then every other
one of the next higher. Falcon multiplies the bias by 1/√d like the scores: `--alibi-scale-by-head-dim`.
`--position-embedding-type alibi`
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch


def gpt_arguments(flags) -> dict:
    return {"position_embedding_type": "none"}


def slopes(heads: int) -> torch.Tensor:
    """`[heads]`, fp32: how steeply each head forgets."""
    lower = 2 ** math.floor(math.log2(heads))
    first = [2 ** (-8 * k / lower) for k in range(1, lower + 1)]
    second = [2 ** (-4 * k / lower) for k in range(1, 2 * (heads - lower), 2)]
    return torch.tensor(first + second)


class Bias(torch.nn.Module):
    """Gives for a pass what the position adds to the scores of this process's heads: `[heads, q, k]`, fp32.

    Args:
        first, heads: of all heads, those that are here.
    """

    def __init__(self, config, first: int, heads: int, encoder: bool = False):
        super().__init__()
        own = slopes(config.num_attention_heads)[first : first + heads]
        if config.alibi_scale_by_head_dim:
            own = own / math.sqrt(config.kv_channels)
        self._slopes = own.to(torch.cuda.current_device())

    def forward(self) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        return self._added

    def _added(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        """Indices `[q, 1]` and `[1, k]`, or `[b, q, 1]`: then `[b, heads, q, k]`. Keys after a query count like those before."""
        distance = (query - key).abs().float()
        return -self._slopes[:, None, None] * distance.unsqueeze(-3)
