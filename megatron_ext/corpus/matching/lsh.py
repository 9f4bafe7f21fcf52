r"""Candidates: documents that share a band of their signatures (Indyk & Motwani 1998).

A signature is cut into b bands of r values, each hashed to a 64-bit key. Two documents of similarity J share a key of some band
with probability 1 - (1 - J^r)^b; different bands by chance with probability 2^-64.

Keys and documents of a band, or of a slice of one where a band is more than fits into memory, are sorted, and who belongs
together lies side by side. A group of m documents costs m, not m².

The sort is a radix sort in C++, with numpy's stable sort as its twin. Reason for own code: four times as fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from megatron_ext.corpus.matching.shingles import BASE, IMPLEMENTATIONS, mix
from megatron_ext.corpus.matching.signatures import Signatures
from megatron_ext.native import compiled


class Groups(NamedTuple):
    """Documents that share a key: group g is `documents[bounds[g] : bounds[g + 1]]`, in ascending order, at least two."""

    documents: np.ndarray
    """int64 [documents in groups]."""
    bounds: np.ndarray
    """int64 [groups + 1]."""

    def edges(self) -> np.ndarray:
        """(first of its group, this) for every document but the first, int64 [number, 2]."""
        sizes = np.diff(self.bounds)
        firsts = np.repeat(self.documents[self.bounds[:-1]], sizes)
        edges = np.stack([firsts, self.documents], 1)
        return np.delete(edges, self.bounds[:-1], 0)

    def taken(self, order: np.ndarray) -> Groups:
        """Groups of these numbers, in their order."""
        sizes = np.diff(self.bounds)[order]
        bounds = np.concatenate([[0], np.cumsum(sizes)])
        return Groups(self.documents[np.arange(bounds[-1]) + np.repeat(self.bounds[:-1][order] - bounds[:-1], sizes)], bounds)

    @classmethod
    def joined(cls, some: Sequence[Groups]) -> Groups:
        """All groups of several, one behind the other."""
        sizes = np.concatenate([np.empty(0, np.int64), *(np.diff(groups.bounds) for groups in some)])
        documents = np.concatenate([np.empty(0, np.int64), *(groups.documents for groups in some)])
        return cls(documents, np.concatenate([[0], np.cumsum(sizes)]))


def band_keys(signatures: Signatures, bands: int, rows: int, implementation: str = "auto") -> np.ndarray:
    """Keys, uint64 [bands, documents]."""
    values = signatures.values
    if bands < 1 or rows < 1 or bands * rows > values.shape[1]:
        raise ValueError(f"lsh: {bands} bands of {rows} rows do not fit into {values.shape[1]} permutations")
    if _is_native(implementation):
        return compiled.band_keys(values, bands, rows)
    keys = np.empty((bands, len(values)), np.uint64)
    for band in range(bands):
        h = np.full(len(values), band + 1, np.uint64)
        for row in range(rows):
            h = mix(h ^ values[:, band * rows + row].astype(np.uint64)) * BASE
        keys[band] = mix(h)
    return keys


def sort_pairs(keys: np.ndarray, documents: np.ndarray, implementation: str = "auto") -> None:
    """Sort keys, uint64 [n], and with them documents, int64 [n], in place; documents of one key stay in their order."""
    if _is_native(implementation):
        compiled.sort_pairs(keys, documents)
    else:
        order = np.argsort(keys, kind="stable")
        keys[:], documents[:] = keys[order], documents[order]


def group(keys: np.ndarray, documents: np.ndarray) -> Groups:
    """Groups of sorted keys and their documents."""
    same = np.zeros(len(keys) + 1, bool)
    same[1:-1] = keys[1:] == keys[:-1]  # at i: i - 1 and i share a key
    shared = same[1:] | same[:-1]
    members, begins = documents[shared], ~same[:-1][shared]
    bounds = np.append(np.flatnonzero(begins), len(members))
    falls = np.flatnonzero(members[1:] < members[:-1]) + 1
    if not begins[falls].all():  # runs came in another order than their documents
        members = members[np.lexsort((members, np.cumsum(begins)))]
    return Groups(members, bounds)


def _is_native(implementation: str) -> bool:
    if implementation not in ("auto", *IMPLEMENTATIONS):
        raise ValueError(f"lsh: implementation is {implementation!r}, and here are {', '.join(IMPLEMENTATIONS)}")
    return compiled is not None and implementation != "python"
