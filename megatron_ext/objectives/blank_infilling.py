"""Autoregressive blank infilling (GLM, arXiv:2103.10360; GLM-130B, arXiv:2210.02414, section 2.2). `--objective blank_infilling`

Two kinds, a document each. With `--gmask-rate`, a [gMASK] stands for the rest of the document from a random token on. Else
[MASK]s stand for short spans, of lengths from a Poisson distribution of mean 3, until 15 % of the tokens are masked, to which
the last one is cut.

Part A, the document with its masks, is seen both ways. Part B holds the spans, in random order for [MASK]; each is fed behind
<sop>, and predicted up to <eop>. A token of B sees A and what stands before it in B. Its position is that of its mask; behind a
[gMASK] positions go on.
"""

from __future__ import annotations

import numpy as np

from megatron_ext.objectives.reading.draws import Draws
from megatron_ext.objectives.reading.pairs import NOTHING, Asked, Pair, Setting, whole
from megatron_ext.objectives.reading.samples import batch, loss
from megatron_ext.objectives.reading.spans import replaced

__all__ = ["Pairs", "batch", "loss"]


class _Generation:
    """[gMASK]"""

    def __init__(self, mask: int, sop: int, eop: int, eod: int):
        self._mask, self._sop, self._eop, self._eod = mask, sop, eop, eod

    def __call__(self, ids: np.ndarray, draws: Draws) -> Pair:
        ids = whole(ids, self._eod)
        return self.hidden(ids, draws.below(len(ids)))

    def hidden(self, ids: np.ndarray, given: int) -> Pair:
        """`given` tokens stay."""
        return Pair(
            np.concatenate([ids[:given], [self._mask]]),
            np.concatenate([ids[given:], [self._eop]]),
            np.concatenate([[self._sop], ids[given:]]),
        )

    def sizes(self, length: int) -> tuple[int, int]:
        half = length // 2
        return half + 1, length - half + 2


class _Blanks:
    """[MASK]. Args: rate, mean: share of masked tokens, mean length of spans."""

    def __init__(self, mask: int, sop: int, eop: int, eod: int, rate: float, mean: float):
        self._mask, self._sop, self._eop, self._eod, self._rate, self._mean = mask, sop, eop, eod, rate, mean

    def __call__(self, ids: np.ndarray, draws: Draws) -> Pair:
        ids = whole(ids, self._eod)
        begins, ends = self._spans(len(ids), draws)
        return self.hidden(ids, begins, ends, draws.order(len(begins)))

    def hidden(self, ids: np.ndarray, begins: np.ndarray, ends: np.ndarray, order: np.ndarray) -> Pair:
        """These spans, predicted in this order."""
        inputs = replaced(ids, begins, ends, np.full(len(begins), self._mask))
        places = begins - np.concatenate([[0], np.cumsum(ends - begins - 1)])[: len(begins)]  # of the masks
        fed, labels, positions = [], [], [np.arange(len(inputs))]
        for number in order:
            span = ids[begins[number] : ends[number]]
            fed += [[self._sop], span]
            labels += [span, [self._eop]]
            positions.append(np.full(len(span) + 1, places[number]))
        if not fed:
            return Pair(inputs, np.empty(0, np.int64), np.empty(0, np.int64), positions[0])
        return Pair(inputs, *(np.concatenate(part).astype(np.int64) for part in (labels, fed, positions)))

    def _spans(self, length: int, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
        """`(begins, ends)`, rising, with a token between two at least."""
        budget = max(round(length * self._rate), 1)
        lengths = np.maximum(draws.poisson(self._mean, budget), 1)
        lengths = lengths[: int(np.searchsorted(np.cumsum(lengths), budget)) + 1]
        lengths[-1] -= int(lengths.sum()) - budget
        lengths = lengths[draws.order(len(lengths))]  # the one that was cut is not the last in the text
        free = length - int(lengths.sum()) - (len(lengths) - 1)
        if free < 0:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        gaps = np.diff(np.concatenate([[0], np.sort(draws.uniforms(len(lengths)) * (free + 1)).astype(np.int64)]))
        begins = np.cumsum(gaps) + np.concatenate([[0], np.cumsum(lengths[:-1] + 1)]).astype(np.int64)
        return begins, begins + lengths

    def sizes(self, length: int) -> tuple[int, int]:
        masked = max(round(length * self._rate), 1)
        count = max(round(masked / self._mean), 1)
        return length - masked + count, masked + count + 1


class Pairs:
    def __init__(self, setting: Setting):
        flags = setting.flags
        mask, gmask, *ends = setting.control(flags.mask_token, "[gMASK]", "<sop>", "<eop>")
        self._end = ends[1]
        self._rate, self._generation = flags.gmask_rate, _Generation(gmask, *ends, setting.eod)
        self._blanks = _Blanks(mask, *ends, setting.eod, flags.blank_rate, flags.mean_blank_length)

    def choose(self, draws: Draws) -> _Generation | _Blanks:
        return self._generation if draws.uniform() < self._rate else self._blanks

    def continued(self, ids: np.ndarray) -> Asked:
        return self._asked(self._generation.hidden(ids, len(ids)))

    def infilled(self, before: np.ndarray, after: np.ndarray) -> Asked:
        """With a blank that has no tokens yet."""
        place = np.array([len(before)])
        return self._asked(self._blanks.hidden(np.concatenate([before, after]), place, place, np.array([0])))

    def _asked(self, pair: Pair) -> Asked:
        return Asked(pair.inputs, NOTHING, pair.fed, pair.positions, ends=[self._end])

    def sizes(self, length: int) -> tuple[int, int]:
        one, other = self._generation.sizes(length), self._blanks.sizes(length)
        return tuple(round(self._rate * a + (1 - self._rate) * b) for a, b in zip(one, other, strict=True))

    def least(self, length: int) -> tuple[int, int]:
        return min(self._generation.sizes(length), self._blanks.sizes(length), key=sum)
