"""By what texts are told to be the same: 128 bits of hash (xxh3) of what is left of them without what does not count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import xxhash

from megatron_ext.corpus.matching.normalize import Normalization
from megatron_ext.corpus.matching.shingles import Shingles


class Hashes:
    """From texts to columns `high` and `low`, the halves of their hashes, and `compared`: whether they are long enough.

    Args:
        ignored: --dedup-ignore.
        least: characters of the shortest that are compared, without what does not count.
    """

    def __init__(self, ignored: Iterable[str], least: int):
        self._normal, self._least = Shingles(same=Normalization.of(ignored)).normalize, least

    def __call__(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        normal = [self._normal(text) for text in texts]
        halves = np.frombuffer(b"".join(xxhash.xxh3_128_digest(text.encode()) for text in normal), np.uint64).reshape(-1, 2)
        compared = np.array([len(text) >= self._least for text in normal], bool)
        return {"high": halves[:, 0], "low": halves[:, 1], "compared": compared}
