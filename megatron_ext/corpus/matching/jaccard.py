r"""Exact Jaccard similarity, |A ∩ B| / |A ∪ B| of sets of shingles, and candidates checked by it.

A document in a group of m candidates (`lsh.Groups`) is compared with the group's representatives in turn: it joins the first
that it is like (similarity ≥ threshold), and becomes one itself if it is like none and fewer than `most` are there. That is
m · most comparisons and not m²: a page that a million share costs a million.

What can be missed, in one band: two documents that are like each other, of which one joined a representative that the other
is not like; and those that come after `most` representatives and are like none of them. Most such pairs meet in another band,
or both are like a third document. What can never be: an edge between documents that are less similar than the threshold.
(Clusters join edges, so their ends may be less similar than that, with or without the check.)

Two empty sets have similarity 0 here. Sets are sorted uint64 without repetition, laid one after another with their bounds, so
that they can be mapped from a file. The C++ is `native/jaccard.cpp`, its twin here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from megatron_ext.corpus.matching.lsh import Groups
from megatron_ext.native import compiled

REPRESENTATIVES = 8


class Sets(NamedTuple):
    """Sets of shingles of some documents."""

    documents: np.ndarray
    """Whose they are: int64, ascending."""
    offsets: np.ndarray
    """int64 [documents + 1]: set i is `values[offsets[i] : offsets[i + 1]]`."""
    values: np.ndarray
    """uint64; each set sorted and without repetition."""

    @classmethod
    def of(cls, documents: Iterable[int], sets: Iterable[np.ndarray]) -> Sets:
        """From sets one by one, such as `Shingles.set` gives."""
        sets = list(sets)
        offsets = np.cumsum([0, *map(len, sets)], dtype=np.int64)
        return cls(np.asarray(list(documents), np.int64), offsets, np.concatenate([np.empty(0, np.uint64), *sets]))

    def places(self, documents: np.ndarray) -> np.ndarray:
        """Where the sets of these documents are. KeyError: some are not there."""
        places = np.searchsorted(self.documents, documents)
        there = places < len(self.documents)
        if not there.all() or (self.documents[places] != documents).any():
            raise KeyError("jaccard: a document has no set of shingles; give one for every document of a group")
        return places


def jaccard(pairs: np.ndarray, sets: Sets, implementation: str = "auto") -> np.ndarray:
    """The similarity of each pair of documents, int64 [number, 2] to float64 [number]."""
    places = sets.places(np.asarray(pairs, np.int64)).reshape(-1, 2)
    if compiled and implementation != "python":
        return compiled.jaccard(places, sets.offsets, sets.values)
    each = _unpacked(sets, places)
    return np.array([_similarity(each[left], each[right]) for left, right in places.tolist()], np.float64)


def check(
    groups: Groups, sets: Sets, threshold: float, representatives: int = REPRESENTATIVES, implementation: str = "auto"
) -> np.ndarray:
    """Edges between documents of a group that are as similar as the threshold: (representative, this), int64 [number, 2]."""
    if not 0 < threshold <= 1 or representatives < 1:
        raise ValueError(f"jaccard: threshold {threshold} and {representatives} representatives; above 0 to 1, and at least 1")
    places = sets.places(groups.documents)
    if compiled and implementation != "python":
        edges = compiled.check_groups(places, groups.bounds, sets.offsets, sets.values, threshold, representatives)
    else:
        edges = _check(places, groups.bounds, _unpacked(sets, places), threshold, representatives)
    return sets.documents[edges]


def _check(places, bounds, sets, threshold: float, most: int) -> np.ndarray:
    edges: list[tuple[int, int]] = []
    for begin, end in zip(bounds[:-1], bounds[1:]):
        representatives: list[int] = []
        for place in places[begin:end].tolist():
            like = next((other for other in representatives if _similarity(sets[other], sets[place]) >= threshold), None)
            if like is not None:
                edges.append((like, place))
            elif len(representatives) < most:
                representatives.append(place)
    return np.array(edges, np.int64).reshape(-1, 2)


def _unpacked(sets: Sets, places: np.ndarray) -> dict[int, frozenset]:
    bounds = sets.offsets
    return {at: frozenset(sets.values[bounds[at] : bounds[at + 1]].tolist()) for at in set(places.reshape(-1).tolist())}


def _similarity(left: frozenset, right: frozenset) -> float:
    shared = len(left & right)
    return shared / (len(left) + len(right) - shared) if left and right else 0.0
