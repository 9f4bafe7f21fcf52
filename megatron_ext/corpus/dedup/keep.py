"""Which copy of a cluster stays: exactly one, always.

The source's priority comes first (the lowest number), so that a book stays rather than its copy on the web. Among those

first      the one that comes first in the corpus. The default, as in text-dedup and datatrove: users order their inputs, the
           answer does not change when a later copy grows by a footer, and new data never takes the place of old.
longest    the longest, and of these the first: where copies are mostly cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from megatron_ext.corpus.dedup.flags import RULES


class Member(NamedTuple):
    """A document of a cluster."""

    priority: int
    """Of its source; the lowest is kept."""
    length: int
    position: int
    """Its number in the corpus."""


def keep(members: Sequence[Member], rule: str = "first") -> int:
    """The position of the one that stays."""
    _known(rule)
    return min(members, key=lambda one: (one.priority, -one.length if rule == "longest" else 0, one.position)).position


def kept(
    clusters: np.ndarray,
    priorities: np.ndarray | None = None,
    lengths: np.ndarray | None = None,
    rule: str = "first",
) -> np.ndarray:
    """The same for whole arrays, one entry a document in the corpus's order: which stay, bool [documents].

    Args:
        clusters: ids, such as `union_find.clusters` gives.
        priorities: of each document's source; None: all the same.
        lengths: what `longest` asks for.
    """
    _known(rule)
    clusters = np.asarray(clusters)
    if rule == "longest" and lengths is None:
        raise ValueError("keep: longest needs lengths")
    by = [clusters] if priorities is None else [np.asarray(priorities), clusters]
    if rule == "longest":
        by.insert(0, -np.asarray(lengths, np.int64))
    order = np.lexsort(by)  # by cluster, priority, length; a stable sort, so by position at last
    ordered = clusters[order]
    first = np.ones(len(ordered), bool)
    first[1:] = ordered[1:] != ordered[:-1]
    stays = np.zeros(len(ordered), bool)
    stays[order[first]] = True
    return stays


def _known(rule: str) -> None:
    if rule not in RULES:
        raise ValueError(f"keep: the rule is {rule!r}; expected one of {', '.join(RULES)}")
