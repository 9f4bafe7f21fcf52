"""The keys of all documents' bands, shard by shard, sorted: whoever looks at a range of a band's keys reads that range of each
shard, and nothing else.

Of each band a shard has `keys`, ascending, the `documents` that have them (numbered as `Places.numbers` does) and `starts`: where
each of RANGES equal ranges of keys begins. Rows of one band lie behind those of the band before. Documents without a shingle
are in none.

Jobs take units, a band or a range of its keys each. Within one they go through its ranges in as many rounds as memory asks for,
by how many keys there are in truth; how many jobs there are goes by a guess, which is all that is known before signing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from megatron_ext.corpus.matching.lsh import Groups, group, sort_pairs

RANGES = 1024

KEY = 56
"""Bytes of memory a key, while those of a range are sorted and grouped; mapped pages among them."""

MANY = 2**20
"""Keys that a job should look at: below them, to begin and to end it takes longer."""


def by_key(keys: np.ndarray, there: np.ndarray, ranks: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of a shard.

    Args:
        keys: uint64 [documents, bands]; there: which documents have shingles, bool [documents]; ranks: how much their sources are
            preferred [documents].
    """
    numbers = np.empty(len(ranks), np.int64)
    numbers[np.argsort(ranks, kind="stable")] = np.arange(len(ranks))
    order = np.argsort(numbers[there])
    documents = np.ascontiguousarray(numbers[there][order])
    edges = np.arange(1, RANGES, dtype=np.uint64) * np.uint64(2**64 // RANGES)
    columns: dict[str, list[np.ndarray]] = {"keys": [], "documents": [], "starts": []}
    for band in range(keys.shape[1]):
        own, whose = np.ascontiguousarray(keys[there, band][order]), documents.copy()
        sort_pairs(own, whose)
        columns["keys"].append(own)
        columns["documents"].append(whose.astype(np.uint32))
        columns["starts"].append(np.array([0, *np.searchsorted(own, edges), len(own)], np.uint32))
    return {name: np.concatenate(of_bands) for name, of_bands in columns.items()}


class Unit(NamedTuple):
    """Ranges [begin, end) of a band's keys."""

    band: int
    begin: int
    end: int


class Units(NamedTuple):
    """What jobs share: each band in `pieces`."""

    bands: int
    pieces: int
    jobs: int

    @classmethod
    def of(cls, documents: float, bands: int, memory: float) -> Units:
        """For so many documents, about: a piece has keys for so many bytes of `memory`, a job a million keys or more."""
        pieces = min(max(round(documents * KEY / memory), 1), RANGES)
        return cls(bands, pieces, int(min(bands * pieces, max(documents * bands // MANY, 1))))

    def of_job(self, job: int) -> Iterator[Unit]:
        units = self.bands * self.pieces
        for unit in range(job * units // self.jobs, (job + 1) * units // self.jobs):
            band, piece = divmod(unit, self.pieces)
            yield Unit(band, piece * RANGES // self.pieces, (piece + 1) * RANGES // self.pieces)


def groups_of(signing: Any, unit: Unit, bands: int, memory: float) -> Iterator[Groups]:
    """The places of documents that share a key, round by round."""
    starts = [_starts(signing.columns(shard), unit) for shard in range(len(signing.jobs))]
    keys = np.sum([np.diff(each) for each in starts], axis=0, dtype=np.int64)
    for begin, end in rounds(keys, int(memory / KEY)):
        yield _groups(signing, unit, bands, [(int(each[begin]), int(each[end])) for each in starts])


def _starts(columns: Any, unit: Unit) -> np.ndarray:
    at = unit.band * (RANGES + 1)
    return columns.piece("starts", at + unit.begin, at + unit.end + 1)


def _groups(signing: Any, unit: Unit, bands: int, ranges: list[tuple[int, int]]) -> Groups:
    places, keys, documents = signing.places(), [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for shard, (begin, end) in enumerate(ranges):
        if begin == end:
            continue
        columns = signing.columns(shard)
        at = unit.band * (columns.rows("keys") // bands)
        keys.append(columns.piece("keys", at + begin, at + end))
        documents.append(places.of_numbers(shard, columns.piece("documents", at + begin, at + end)))
    keys, documents = np.concatenate(keys), np.concatenate(documents)
    sort_pairs(keys, documents)
    return group(keys, documents)


def rounds(weights: np.ndarray, most: float) -> Iterator[tuple[int, int]]:
    """Ranges [begin, end) side by side that each weigh `most` at most, or are one alone that weighs more."""
    begin = held = 0
    for at, weight in enumerate(weights.tolist()):
        if held and held + weight > most:
            yield begin, at
            begin, held = at, 0
        held += weight
    if held:
        yield begin, len(weights)
