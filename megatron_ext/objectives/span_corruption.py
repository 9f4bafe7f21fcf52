"""Span corruption (T5, arXiv:1910.10683, section 3.1.4): spans are taken out of a document, a sentinel each in their place, and
predicted behind their sentinels. 15 % of the tokens in spans of 3 on average: 568 tokens become 512 inputs and 114 targets.
`--objective span_corruption --span-corruption-rate 0.15 --mean-span-length 3`
"""

from __future__ import annotations

import bisect
import itertools

import numpy as np

from megatron_ext.objectives.reading.draws import Draws
from megatron_ext.objectives.reading.pairs import NOTHING, Asked, Pair, Setting, whole
from megatron_ext.objectives.reading.samples import batch, loss
from megatron_ext.objectives.reading.spans import counts, replaced, spans

__all__ = ["Pairs", "SpanCorruption", "batch", "loss"]


_LONGEST = 1_000_000


class SpanCorruption:
    """Inputs and targets end with the token that ends a document, as T5's do.

    Args:
        rate, mean: share of noise, mean length of its spans.
        first: tokens before the inputs, which say the kind of task.

    Attributes: most: tokens of a document that there are sentinels for.
    """

    def __init__(self, setting: Setting, rate: float, mean: float, first: list[int] | None = None):
        self._rate, self._mean, self._eod, self._first = rate, mean, setting.eod, np.array(first or [], np.int64)
        known = setting.tokenizer.control_tokens
        count = next(number for number in itertools.count() if f"<extra_id_{number}>" not in known)
        self._sentinels = np.array(setting.control(*(f"<extra_id_{number}>" for number in range(max(count, 1)))), np.int64)
        self.most = bisect.bisect_right(range(_LONGEST), count, key=lambda length: self._counts(length)[1]) - 1

    def choose(self, draws: Draws) -> SpanCorruption:
        return self

    def _counts(self, length: int) -> tuple[int, int]:
        return counts(length, self._rate, self._mean)

    def _spans(self, length: int, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
        return spans(length, self._rate, self._mean, draws)

    def __call__(self, ids: np.ndarray, draws: Draws) -> Pair:
        ids = whole(ids, self._eod)
        return self._corrupted(ids, *self._spans(len(ids), draws))

    def _corrupted(self, ids: np.ndarray, begins: np.ndarray, ends: np.ndarray) -> Pair:
        marks = self._sentinels[: len(begins)]
        inputs = replaced(ids, begins, ends, marks)
        parts = [part for mark, begin, end in zip(marks, begins, ends) for part in ([mark], ids[begin:end])]
        return Pair(np.concatenate([self._first, inputs, [self._eod]]), np.concatenate([*parts, [self._eod]]).astype(np.int64))

    def continued(self, ids: np.ndarray) -> Asked:
        return self.infilled(ids, NOTHING)

    def infilled(self, before: np.ndarray, after: np.ndarray) -> Asked:
        """With a span that has no tokens yet."""
        place = np.array([len(before)])
        pair = self._corrupted(np.concatenate([before, after]), place, place)
        return Asked(pair.inputs, pair.labels[:-1], ends=self._sentinels.tolist())

    def sizes(self, length: int) -> tuple[int, int]:
        noise, count = self._counts(length)
        return len(self._first) + length - noise + count + 1, noise + count + 1


class Pairs(SpanCorruption):
    def __init__(self, setting: Setting):
        super().__init__(setting, setting.flags.span_corruption_rate, setting.flags.mean_span_length)
