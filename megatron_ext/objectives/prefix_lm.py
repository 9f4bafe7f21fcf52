"""Prefix language modelling (arXiv:1910.10683, section 3.2.3). `--objective prefix_lm`

The first p tokens of a document are given and seen both ways, the rest is predicted. p is drawn evenly from 1 to n − 1, or is
`--prefix-length`.
"""

from __future__ import annotations

import numpy as np

from megatron_ext.objectives.reading.draws import Draws
from megatron_ext.objectives.reading.pairs import Asked, Pair, Setting
from megatron_ext.objectives.reading.samples import batch, loss

__all__ = ["Pairs", "batch", "loss"]


class Pairs:
    def __init__(self, setting: Setting):
        self._fixed = setting.flags.prefix_length

    def choose(self, draws: Draws) -> Pairs:
        return self

    def __call__(self, ids: np.ndarray, draws: Draws) -> Pair:
        drawn = 1 + draws.below(max(len(ids) - 1, 1))
        length = drawn if self._fixed is None else min(self._fixed, max(len(ids) - 1, 0))
        return Pair(ids[:length], ids[length:])

    def sizes(self, length: int) -> tuple[int, int]:
        half = length // 2 if self._fixed is None else min(self._fixed, length - 1)
        return half, length - half

    def continued(self, ids: np.ndarray) -> Asked:
        return Asked(ids)
