"""Random numbers that belong to a sample: the same on every machine, layout and resume, and with every NumPy.

They come from a hash of (seed, sample, …) and of how many were drawn before. NumPy's own distributions would do, but NumPy does
not promise that another version draws alike (data/permutation.py).
"""

from __future__ import annotations

import functools
import math

import numpy as np

from megatron_ext.data.permutation import hashed, keys

_LONGEST = 256  # of what poisson() draws: beyond any mean in use by far


class Draws:
    """Args: what: the seed, the sample's number, and what else tells these numbers from others."""

    def __init__(self, *what: int):
        self._key, self._drawn = keys(1, *what)[0], 0

    def uniforms(self, count: int) -> np.ndarray:
        """float64 `[count]` in [0, 1)."""
        numbers = np.arange(self._drawn, self._drawn + count, dtype=np.uint64)
        self._drawn += count
        return hashed(hashed(numbers, self._key), self._key) / 2.0**32

    def uniform(self) -> float:
        return float(self.uniforms(1)[0])

    def below(self, limit: int) -> int:
        """One of 0 … limit − 1."""
        return int(self.uniform() * limit)

    def order(self, count: int) -> np.ndarray:
        """0 … count − 1, shuffled."""
        return np.argsort(self.uniforms(count), kind="stable")

    def some(self, count: int, of: int) -> np.ndarray:
        """`count` of 0 … of − 1, none twice, rising."""
        return np.sort(self.order(of)[:count])

    def poisson(self, mean: float, count: int) -> np.ndarray:
        """int64 `[count]`."""
        return np.searchsorted(_poisson(mean), self.uniforms(count), side="right")


@functools.lru_cache(maxsize=16)
def _poisson(mean: float) -> np.ndarray:
    """P(X ≤ k)."""
    logs = [k * math.log(mean) - mean - math.lgamma(k + 1) for k in range(_LONGEST)]
    return np.cumsum(np.exp(logs))
