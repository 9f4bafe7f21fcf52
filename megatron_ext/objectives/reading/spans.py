"""Spans of noise, as T5 draws them (arXiv:1910.10683, section 3.3.4; `random_spans_noise_mask` of its code).

Of n tokens round(n · rate) are noise, in round(noise / mean length) spans. Spans of noise and what stands between them are cut at
random, each at least a token long; the first is no noise, the last is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from megatron_ext.objectives.reading.draws import Draws


def counts(length: int, rate: float, mean: float) -> tuple[int, int]:
    """`(tokens of noise, spans of them)`; (0, 0) where there is no room for both noise and something else."""
    if length < 2:
        return 0, 0
    noise = min(max(round(length * rate), 1), length - 1)
    return noise, min(max(round(noise / mean), 1), noise, length - noise)


def spans(length: int, rate: float, mean: float, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
    """`(begins, ends)` of the spans of noise, int64 `[spans]`, rising."""
    noise, count = counts(length, rate, mean)
    if not count:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    lengths, between = pieces(noise, count, draws), pieces(length - noise, count, draws)
    ends = np.cumsum(lengths + between)
    return ends - lengths, ends


def pieces(total: int, count: int, draws: Draws) -> np.ndarray:
    """The lengths of `count` pieces of at least 1 that add up to `total`, all ways to cut alike."""
    edges = 1 + draws.some(count - 1, total - 1)
    return np.diff(np.concatenate([[0], edges, [total]])).astype(np.int64)


def replaced(ids: np.ndarray, begins: np.ndarray, ends: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """`ids` with a mark in place of each span."""
    parts, at = [], 0
    for begin, end, mark in zip(begins.tolist(), ends.tolist(), marks.tolist(), strict=True):
        parts += [ids[at:begin], [mark]]
        at = end
    return np.concatenate([*parts, ids[at:]]).astype(np.int64)


def between(parts: Sequence[np.ndarray], mark: int) -> np.ndarray:
    """The parts of a document with a mark between each two."""
    return np.concatenate([parts[0], *(piece for part in parts[1:] for piece in ([mark], part))]).astype(np.int64)
