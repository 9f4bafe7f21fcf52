"""A mixture of denoisers (UL2, arXiv:2205.05131, section 3.1.2). `--objective mixture_of_denoisers`

Each document is corrupted in one of seven ways, drawn evenly, and begins with the token of its mode. For an encoder and a decoder
a sample has some of them, each for a part of it, so that both are filled (reading/proportions.py).

    R   regular: spans of 3 or 8 tokens, 15 %
    X   extreme: spans of 3 or 8 tokens, 50 %, or of 64 tokens, 15 % or 50 %
    S   sequential: the last quarter of the document

`--ul2-denoisers FILE` gives others: a YAML list of `{mode: R, rate: 0.15, mean: 3}` or `{mode: S, rate: 0.25}`, each with a
`share` [1] of the documents. A mode is a control token of the tokenizer, [R] for R. Sentinels and ends are span_corruption's.
"""

from __future__ import annotations

import numpy as np

from megatron_ext.objectives.reading.denoisers import DEFAULT, Denoiser, read_denoisers
from megatron_ext.objectives.reading.draws import Draws
from megatron_ext.objectives.reading.pairs import Asked, Setting
from megatron_ext.objectives.reading.samples import batch, loss
from megatron_ext.objectives.span_corruption import SpanCorruption

__all__ = ["Pairs", "batch", "loss"]


_TYPICAL = 500  # tokens of a document


class _Sequential(SpanCorruption):
    """One span, at the end."""

    def _spans(self, length: int, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
        noise = self._counts(length)[0]
        return (np.array([length - noise]), np.array([length])) if noise else (np.empty(0, np.int64),) * 2

    def _counts(self, length: int) -> tuple[int, int]:
        noise = min(max(round(length * self._rate), 1), length - 1) if length > 1 else 0
        return noise, min(noise, 1)


class Pairs:
    def __init__(self, setting: Setting):
        file = setting.flags.ul2_denoisers
        denoisers = DEFAULT if file is None else read_denoisers(file)
        shares = np.array([each.share for each in denoisers])
        self._edges = np.cumsum(shares) / shares.sum()
        self._shares, self._all = shares / shares.sum(), [_of(setting, each) for each in denoisers]
        inputs, labels = np.array([each.sizes(_TYPICAL) for each in self._all]).T
        self._rising = np.argsort(labels / inputs, kind="stable")

    def choose(self, draws: Draws) -> SpanCorruption:
        return self._all[min(int(np.searchsorted(self._edges, draws.uniform(), side="right")), len(self._all) - 1)]

    def continued(self, ids: np.ndarray) -> Asked:
        """By the first denoiser of one span at the end."""
        return next((each for each in self._all if isinstance(each, _Sequential)), self._all[0]).continued(ids)

    def infilled(self, before: np.ndarray, after: np.ndarray) -> Asked:
        """By the first of short spans."""
        return next((each for each in self._all if not isinstance(each, _Sequential)), self._all[0]).infilled(before, after)

    def at(self, quantile: float) -> SpanCorruption:
        """The denoiser there, in the order of what they give to predict of what they show."""
        edges = np.cumsum(self._shares[self._rising])
        return self._all[self._rising[min(int(np.searchsorted(edges, quantile, side="right")), len(edges) - 1)]]

    def sizes(self, length: int) -> tuple[int, int]:
        return tuple(int(part) for part in np.rint(self._shares @ np.array([each.sizes(length) for each in self._all])))

    def least(self, length: int) -> tuple[int, int]:
        return min((each.sizes(length) for each in self._all), key=sum)


def _of(setting: Setting, denoiser: Denoiser) -> SpanCorruption:
    first = setting.control(f"[{denoiser.mode}]")
    if denoiser.mean is None:
        return _Sequential(setting, denoiser.rate, float("inf"), first)
    return SpanCorruption(setting, denoiser.rate, denoiser.mean, first)
