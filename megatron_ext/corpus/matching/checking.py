"""Candidates checked by their exact similarity: their sets of shingles, made only now, and only theirs.

    pairs of a band   groups of candidates, and whose sets they ask for
    sets              a job a shard: the sets of those of its documents that are in a group
    check             a job a part of the groups: of bands that have a group in common it is checked once

A part holds groups by the hash of their first document. What a job holds at once of the sets keeps within --dedup-memory, by
their true sizes: groups are checked round by round, and one that is larger than that in pieces.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from megatron_ext.corpus.matching.bands import rounds
from megatron_ext.corpus.matching.jaccard import Sets, check
from megatron_ext.corpus.matching.lsh import Groups
from megatron_ext.corpus.matching.shingles import Shingles, mix

VALUE = 16
"""Bytes of memory a hash in a set that is looked at; the mapped page among them."""


def by_part(groups: Groups, parts: int, places: Any) -> dict[str, np.ndarray]:
    """Groups as columns, part by part: `members` and `bounds` of each, `parts`, where each begins among them; and `place` with
    `starts`, the documents that are in one."""
    firsts = groups.documents[groups.bounds[:-1]].astype(np.uint64)
    part = (mix(firsts) % np.uint64(parts)).astype(np.int64)
    order = np.argsort(part, kind="stable")
    groups, place = groups.taken(order), np.unique(groups.documents)
    return {
        "members": groups.documents,
        "bounds": groups.bounds,
        "parts": np.searchsorted(part[order], np.arange(parts + 1)),
        "place": place,
        "starts": places.starts(place),
    }


def sets_of(stage: Any, shard: int, shingles: Shingles) -> dict[str, np.ndarray]:
    """The sets of a shard's documents that are in a group: `place`, ascending, and of each where its `values` end."""
    signing, places = stage.signing, stage.signing.places()
    wanted = [np.empty(0, np.int64)]
    for columns in map(stage.needs.columns, range(len(stage.needs.jobs))):
        for cell in places.cells(shard):
            wanted.append(columns.piece("place", *columns.piece("starts", cell, cell + 2).tolist()))
    place = np.unique(np.concatenate(wanted))
    index = signing.indices(shard, place).tolist()
    found = {number: shingles.set(document.text) for number, document in stage.before.some(shard, set(index))}
    sets = [found[number] for number in index]
    ends = np.cumsum([len(each) for each in sets], dtype=np.int64)
    return {"place": place, "ends": ends, "values": np.concatenate([np.empty(0, np.uint64), *sets])}


def check_part(candidates: Any, sets: Any, part: int, threshold: float, representatives: int, memory: float) -> np.ndarray:
    """Edges between documents of a part's groups that are as similar as the threshold: int64 [number, 2].

    Args: candidates, sets: the stages that have them.
    """
    found = []
    for columns in map(candidates.columns, range(len(candidates.jobs))):
        begin, end = columns.piece("parts", part, part + 2).tolist()
        bounds = columns.piece("bounds", begin, end + 1)
        found.append(Groups(columns.piece("members", int(bounds[0]), int(bounds[-1])), bounds - bounds[0]))
    groups = distinct(Groups.joined(found))
    stored = _Stored(sets, np.unique(groups.documents))
    return check_in_rounds(groups, stored.sizes_of(groups.documents), stored.load, threshold, representatives, memory / VALUE)


def distinct(groups: Groups) -> Groups:
    """Each group once, by the first document. Two that differ are taken for one with probability 2^-64."""
    if not len(groups.documents):
        return groups
    sizes = np.diff(groups.bounds).astype(np.uint64)
    sums = np.add.reduceat(mix(groups.documents.astype(np.uint64)), groups.bounds[:-1]) ^ mix(sizes)
    _, once = np.unique(sums, return_index=True)
    return groups.taken(once[np.argsort(groups.documents[groups.bounds[once]], kind="stable")])


def check_in_rounds(
    groups: Groups, sizes: np.ndarray, load: Callable[[np.ndarray], Sets], threshold: float, representatives: int, most: float
) -> np.ndarray:
    """As `jaccard.check`, holding sets of `most` hashes at once.

    Args: sizes: of each member's set; load: the sets of some documents, int64, ascending.
    """
    edges = [np.empty((0, 2), np.int64)]
    totals = np.concatenate([[0], np.cumsum(sizes)])[groups.bounds]
    for begin, end in rounds(np.diff(totals), most):
        first, last = groups.bounds[begin], groups.bounds[end]
        members = groups.documents[first:last]
        if totals[end] - totals[begin] <= most:
            some = Groups(members, groups.bounds[begin : end + 1] - first)
            edges.append(check(some, load(np.unique(members)), threshold, representatives))
            continue
        standing = members[:0]  # for those that were there: representatives come first, and are unlike each other
        for one, other in rounds(sizes[first:last], most):
            some = np.concatenate([standing, members[one:other]])
            found = check(Groups(some, np.array([0, len(some)])), load(some), threshold, representatives)
            edges.append(found)
            standing = some[~np.isin(some, found[:, 1])][:representatives]
    return np.concatenate(edges)


class _Stored:
    """Sets that lie in the files of a stage. Args: documents: ascending, all of whose sets are there."""

    def __init__(self, sets: Any, documents: np.ndarray):
        self._sets, self._documents = sets, documents
        self._shards = sets.signing.places().shards(documents)
        self._begins, self._ends = np.empty(len(documents), np.int64), np.empty(len(documents), np.int64)
        for shard in np.unique(self._shards).tolist():
            columns, here = sets.columns(shard), self._shards == shard
            at, ends = np.searchsorted(columns["place"], documents[here]), columns["ends"]
            self._begins[here], self._ends[here] = np.where(at > 0, ends[at - 1], 0), ends[at]

    def sizes_of(self, documents: np.ndarray) -> np.ndarray:
        return (self._ends - self._begins)[np.searchsorted(self._documents, documents)]

    def load(self, documents: np.ndarray) -> Sets:
        rows, found = np.searchsorted(self._documents, documents), []
        order = np.argsort(self._shards[rows], kind="stable")  # documents of one rank lie shard behind shard already
        pieces: list[np.ndarray] = [documents[:0]] * len(rows)
        for shard in np.unique(self._shards[rows]).tolist():
            values = self._sets.columns(shard)["values"]
            here = order[self._shards[rows[order]] == shard]
            for place, begin, end in zip(here.tolist(), self._begins[rows[here]].tolist(), self._ends[rows[here]].tolist()):
                pieces[place] = values[begin:end]
        found = np.concatenate([np.empty(0, np.uint64), *pieces])
        return Sets(documents, np.concatenate([[0], np.cumsum((self._ends - self._begins)[rows])]), found)
