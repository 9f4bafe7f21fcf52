"""Clusters from edges: union-find (Galler & Fischer 1964) with path halving (Tarjan & van Leeuwen 1984).

`parents` is one int64 a document, and a root is the smallest document of its cluster: nothing else is kept, 8 bytes a
document, in memory or mapped (`numpy.memmap`), for up to 2^40 and more. To link larger roots to smaller ones, whatever their
ranks, costs O(log n) an edge.

Where few of many documents have edges, as after an external sort of ten billion, `clusters` numbers only those: its memory
goes by edges. Reason for own code: SciPy's connected components hold all edges at once, as a matrix, and their numbers have 32
bits. The C++ (`native/union_find.cpp`) has its twin here.
"""

from __future__ import annotations

import numpy as np

from megatron_ext.native import compiled


def singles(documents: int) -> np.ndarray:
    """Parents where each document is a cluster of its own."""
    return np.arange(documents, dtype=np.int64)


def unite(parents: np.ndarray, edges: np.ndarray, implementation: str = "auto") -> None:
    """Join the clusters of both ends of each edge, int64 [number, 2]. IndexError: an edge names a document that is not there."""
    if compiled and implementation != "python":
        return compiled.unite(parents, edges)
    size = len(parents)
    for left, right in np.asarray(edges, np.int64).tolist():
        if not (0 <= left < size and 0 <= right < size):
            raise IndexError(f"unite: an edge names a document beyond the {size} that there are")
        a, b = _root(parents, left), _root(parents, right)
        parents[max(a, b)] = min(a, b)


def _root(parents: np.ndarray, at: int) -> int:
    while parents[at] != at:
        parents[at] = parents[parents[at]]
        at = int(parents[at])
    return at


def flatten(parents: np.ndarray, implementation: str = "auto") -> None:
    """Make each parent the root, the cluster's smallest member. One pass, since parents are never larger than their children."""
    if compiled and implementation != "python":
        return compiled.flatten(parents)
    for at in range(len(parents)):
        parents[at] = parents[parents[at]]


def clusters(edges: np.ndarray, implementation: str = "auto") -> tuple[np.ndarray, np.ndarray]:
    """(documents, cluster of each), int64, of all that have an edge, ascending; a cluster's id is its smallest member."""
    documents, numbers = np.unique(np.asarray(edges, np.int64).reshape(-1), return_inverse=True)
    parents = singles(len(documents))
    unite(parents, numbers.reshape(-1, 2), implementation)
    flatten(parents, implementation)
    return documents, documents[parents]
