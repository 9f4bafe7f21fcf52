"""In which order copies of a document are preferred: each has a place, and of copies the one with the smallest place stays.

First come the documents of `--dedup-against`, then those of the sources of `--dedup-priority` one behind the other, then all
others; among equals the corpus' own order counts. Places are dense, from 0, so that what is known of each document can
lie in an array.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Ranks:
    """How much a source is preferred: 0 for documents of --dedup-against, then the sources in their order, then all others."""

    def __init__(self, priority: Sequence[str]):
        self._of = {source: rank for rank, source in enumerate(priority, 1)}
        self.count = len(self._of) + 2

    def __call__(self, source: str) -> int:
        return self._of.get(source, self.count - 1)


class Places:
    """Places of all documents, from how many of each rank the shards hold.

    Args:
        counts: [shards, ranks].
    """

    def __init__(self, counts: np.ndarray):
        self.counts = np.asarray(counts, np.int64)
        flat = self.counts.T.reshape(-1)  # rank by rank, in each shard by shard
        self._begins = np.concatenate([[0], np.cumsum(flat)])
        self._shards = self.counts.shape[0]
        self._own_ends = np.cumsum(self.counts, axis=1)  # in a shard whose documents are numbered by rank

    @property
    def total(self) -> int:
        return int(self._begins[-1])

    def of(self, shard: int, ranks: np.ndarray) -> np.ndarray:
        """Places [n] of a shard's documents, given their ranks in order."""
        found = np.empty(len(ranks), np.int64)
        for rank in np.unique(ranks):
            here = ranks == rank
            begin = self._begins[int(rank) * self._shards + shard]
            found[here] = np.arange(begin, begin + np.count_nonzero(here))
        return found

    def of_numbers(self, shard: int, numbers: np.ndarray) -> np.ndarray:
        """Places of a shard's documents, of which those of one rank are numbered behind those of the one before."""
        rank = np.searchsorted(self._own_ends[shard], numbers, "right")
        return numbers + self._shifts(shard)[rank]

    def numbers(self, shard: int, places: np.ndarray) -> np.ndarray:
        """The numbers of a shard's documents: what `of_numbers` takes."""
        return places - self._shifts(shard)[self.ranks(places)]

    def _shifts(self, shard: int) -> np.ndarray:
        """By rank, from a shard's numbers to places."""
        ranks = np.arange(self.counts.shape[1])
        return self._begins[ranks * self._shards + shard] - (self._own_ends[shard] - self.counts[shard])

    def cells(self, shard: int) -> range:
        """Numbers of the shard's pieces, one a rank: documents of one piece lie side by side."""
        return range(shard, self.counts.size, self._shards)

    def starts(self, places: np.ndarray) -> np.ndarray:
        """Of sorted places, where each piece's begin: those of piece p are `places[starts[p] : starts[p + 1]]`."""
        return np.searchsorted(places, self._begins).astype(np.int64)

    def shards(self, places: np.ndarray) -> np.ndarray:
        """The shards in which documents lie."""
        return (np.searchsorted(self._begins, places, "right") - 1) % self._shards

    def ranks(self, places: np.ndarray) -> np.ndarray:
        """How much the documents' sources are preferred."""
        return (np.searchsorted(self._begins, places, "right") - 1) // self._shards
