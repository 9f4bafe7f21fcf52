"""Windows of N items in a row, by hash: the kernels of `substring.py`, which tells the way.

Items are bytes (uint8), tokens (uint16, uint32) or code points (uint32). The hash of a window is a polynomial over 2^64, mixed.

A window's anchor is the least hash among the grams in it, of 3N/4 items each, the last one of several (winnowing, Schleimer,
Wilkerson and Aiken, SIGMOD 2003). Equal windows have equal anchors, and windows beside each other mostly share theirs: of N =
200 bytes one in 26 begins a stretch with another. So few hashes tell for whole stretches that nothing in them can be a copy.

Pairs are arrays of uint64, [n, 2]: (hash, position), or (position, first position). `kernels` gives what works on them in C++
(`native/substring.cpp`) or the twin in this file, in numpy. Reason for own code: 80 times the twin's speed, and sorting in place.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from megatron_ext.native import compiled, say_that_the_twins_serve

IMPLEMENTATIONS = ("native", "python") if compiled else ("python",)
ALL_BITS = 2**64 - 1
_BASE = 0x9FB21C651E98DF25
_INVERSE = pow(_BASE, -1, 2**64)


def kernels(implementation: str = "auto") -> Any:
    """The module or class with `anchors`, `windows`, `equal_windows`, `repeated_pairs`, `later_pairs`."""
    if implementation == "auto":
        if not compiled:
            say_that_the_twins_serve()
        implementation = IMPLEMENTATIONS[0]
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(f"windows: implementation is {implementation!r}, and here are {', '.join(IMPLEMENTATIONS)}")
    return compiled if implementation == "native" else Twin


class Twin:
    """The kernels in numpy.

    `items` are all documents, one after another, and `ends` where each one ends; `base` is what is added to places in `items` to
    make them positions in the corpus; `mask` is what is left of a hash.
    """

    @staticmethod
    def anchors(items, ends, base: int, window: int, gram: int, mask: int) -> np.ndarray:
        """(hash, position of the first window) of each stretch of windows of one document that share an anchor."""
        found = [
            np.stack([hashes[places[begins]], base + at + begins], axis=1)
            for at, hashes, places, begins in Twin._stretches(items, ends, window, gram, mask)
        ]
        return np.concatenate([np.empty((0, 2), np.uint64), *found])

    @staticmethod
    def windows(items, ends, base: int, window: int, gram: int, mask: int, wanted) -> np.ndarray:
        """(hash, position) of each window of the stretches that begin at the positions `wanted`."""
        found = []
        for at, _, places, begins in Twin._stretches(items, ends, window, gram, mask):
            taken = np.isin(base + at + begins, wanted)
            lengths = np.diff(begins, append=np.uint64(len(places)))
            chosen = np.flatnonzero(np.repeat(taken, lengths.astype(np.int64))).astype(np.uint64)
            hashes = Twin._hashes(items[at : at + len(places) + window - 1], window, mask)
            found.append(np.stack([hashes[chosen], base + at + chosen], axis=1))
        return np.concatenate([np.empty((0, 2), np.uint64), *found])

    @staticmethod
    def equal_windows(left, lefts, right, rights, window: int) -> np.ndarray:
        """Whether the windows at these places of `left` are those at these places of `right`."""
        pairs = zip(lefts.tolist(), rights.tolist())
        return np.array([np.array_equal(left[a : a + window], right[b : b + window]) for a, b in pairs], bool)

    @staticmethod
    def repeated_pairs(pairs: np.ndarray) -> int:
        """Moves the pairs whose key others have to the front, as (value, least value of the key), sorted; how many there are."""
        return Twin._gather(pairs, first_too=True)

    @staticmethod
    def later_pairs(pairs: np.ndarray) -> int:
        """The same, without the first of each key."""
        return Twin._gather(pairs, first_too=False)

    @staticmethod
    def _gather(pairs, first_too: bool) -> int:
        keys, values = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))].T
        _, begins, numbers, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        firsts = begins[numbers]
        kept = counts[numbers] > 1
        if not first_too:
            kept &= np.arange(len(keys)) != firsts
        found = np.stack([values[kept], values[firsts[kept]]], axis=1)
        pairs[: len(found)] = found[np.lexsort((found[:, 1], found[:, 0]))]
        return len(found)

    @staticmethod
    def _stretches(items, ends, window: int, gram: int, mask: int):
        """Of each document that has windows: its place, its grams' hashes, each window's anchor, where another one begins."""
        begin, span = 0, window - gram + 1
        for end in ends.tolist():
            if end - begin >= window:
                hashes = Twin._hashes(items[begin:end], gram, mask)
                last_first = np.lib.stride_tricks.sliding_window_view(hashes, span)[:, ::-1]
                places = (
                    np.arange(len(last_first), dtype=np.uint64)
                    + np.uint64(span - 1)
                    - last_first.argmin(axis=1).astype(np.uint64)
                )
                begins = np.flatnonzero(np.diff(places, prepend=np.uint64(ALL_BITS))).astype(np.uint64)
                yield begin, hashes, places, begins
            begin = end

    @staticmethod
    def _hashes(items, size: int, mask: int) -> np.ndarray:
        """The hash of every `size` items in a row: sums of item · base^-i up to here and there, times a power of the base."""
        powers, inverses = _powers(len(items))
        sums = np.zeros(len(items) + 1, np.uint64)
        np.cumsum((items.astype(np.uint64) + np.uint64(1)) * inverses, out=sums[1:])
        return mix((sums[size:] - sums[:-size]) * powers[size - 1 :]) & np.uint64(mask)


@functools.lru_cache(maxsize=4)
def _powers(count: int) -> tuple[np.ndarray, np.ndarray]:
    """base^i and base^-i for i below count, modulo 2^64."""
    both = []
    for base in (_BASE, _INVERSE):
        factors = np.full(count, base, np.uint64)
        factors[:1] = 1
        both.append(np.cumprod(factors))
    return both[0], both[1]


def mix(hashes: np.ndarray) -> np.ndarray:
    """The finaliser of MurmurHash3, as in native/hash.h."""
    hashes = (hashes ^ (hashes >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    hashes = (hashes ^ (hashes >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return hashes ^ (hashes >> np.uint64(33))
