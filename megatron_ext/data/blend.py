"""Several data sets in fixed shares: sample i comes from one of them, and is the k-th that does.

How many of the first n samples each data set gives is computed at once, for any n and without what came before: the largest
takes its share of n, rounded; the next its share of what is left; and so on. Taken at multiples of a window of 1,024 samples,
that says how many of each a window holds. Within it, the k-th of m samples of a data set is sorted by (k + u) / m, where u is
random between 0 and 1. So

- at every prefix each data set has its share to within a few samples, however small, whatever the weights;
- neighbours are mixed at random, so that no process or micro-batch gets the same data set again and again;
- nothing depends on how long the run is, and any sample is found without walking from the first.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from fractions import Fraction
from math import lcm

import numpy as np

from megatron_ext.data.fingerprint import FORMAT
from megatron_ext.data.permutation import hashed, keys
from megatron_ext.data.samples import Samples

WINDOW = 1024
_BLEND = 3  # what the random numbers are for


class Blend(Samples):
    """Args: sets: the data sets' samples, by weights of any sum."""

    def __init__(self, sets: Sequence[Samples], weights: Sequence[Fraction], seed: int):
        self.sets, self.seed = sets, seed
        self.shares = [weight / sum(weights) for weight in weights]
        scale = lcm(*(share.denominator for share in self.shares))
        self._parts = [int(share * scale) for share in self.shares]  # whole numbers in the proportion of the weights
        self._largest_first = sorted(range(len(sets)), key=lambda number: -self._parts[number])
        self._window = functools.lru_cache(maxsize=8)(self._draw_window)

    def locate(self, number: int) -> tuple[int, int]:
        """`(which data set, which of its samples)` sample `number` is."""
        window, place = divmod(number, WINDOW)
        sets, positions = self._window(window)
        return int(sets[place]), int(positions[place])

    def counts(self, samples: int) -> list[int]:
        """How many of the first `samples` are each data set's, at a multiple of the window."""
        result, left, parts = [0] * len(self.sets), samples, sum(self._parts)
        for number in self._largest_first:
            part = self._parts[number]
            result[number] = (2 * left * part + parts) // (2 * parts)  # left × part / parts, rounded
            left, parts = left - result[number], parts - part
        return result

    def _draw_window(self, window: int) -> tuple[np.ndarray, np.ndarray]:
        before = np.array(self.counts(window * WINDOW))
        quotas = np.array(self.counts((window + 1) * WINDOW)) - before
        sets = np.repeat(np.arange(len(quotas)), quotas)
        ranks = np.arange(WINDOW) - np.repeat(np.cumsum(quotas) - quotas, quotas)
        jitter = hashed(np.arange(WINDOW, dtype=np.uint64), keys(1, self.seed, window, 0, _BLEND)[0]) / 2.0**32
        order = np.argsort((ranks + jitter) / quotas[sets], kind="stable")
        return sets[order], (before[sets] + ranks)[order]

    def __getitem__(self, number: int) -> np.ndarray:
        which, position = self.locate(number)
        return self.sets[which][position]

    @property
    def fingerprint(self) -> dict:
        parts = [each.fingerprint for each in self.sets]
        sets = [part["sets"][0] | {"weight": str(share)} for part, share in zip(parts, self.shares, strict=True)]
        return {"format": FORMAT, "kind": "blend", "seq_length": parts[0]["seq_length"], "seed": self.seed, "sets": sets}

    def prepare(self, epoch: int) -> dict[str, bool]:
        return {path: there for each in self.sets for path, there in each.prepare(epoch).items()}
