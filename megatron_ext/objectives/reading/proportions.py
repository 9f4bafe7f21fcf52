"""Two rooms filled at once: an encoder's and a decoder's, by ways to corrupt that fill them in different proportions.

Drawn document by document, ways leave one room empty when the other is full: UL2's seven give the decoder between a fifth and as
much as the encoder, and a prefix anything. So a sample is dealt a hand of ways: spread evenly over all that there are, each as
often as it is asked for (systematic sampling), in random order but for the last. Each has a part of the sample whose length in
raw tokens is what fills both rooms, and as near to the others' as that allows; what is left is shared out anew before each part.
A document that is longer than its part goes on in the next as one of its own. There are as few parts as serve, eight at most.

What it costs: documents are cut at parts' ends; a way has its share of the parts, and of tokens the share that the two rooms
dictate, whoever fills them. Where the rooms' proportion is far from the mixture's own, padding is what remains.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from megatron_ext.objectives.reading.draws import Draws

COUNTS = (1, 2, 3, 4, 6, 8)
_STRETCH = 2.0  # how much longer or shorter than on average a part may be
_ENOUGH = 0.01  # of the rooms may stay empty
_WORTH = 0.002  # of the rooms: what further parts must fill to be taken
_TRIALS = 16
_SHORTEST = 8  # raw tokens of a part that are worth a document


class Way(Protocol):
    """A way to corrupt a document."""

    def sizes(self, length: int) -> tuple[int, int]:
        """Tokens for the encoder and for the decoder, of so many raw ones."""


def longest(fits: Callable[[int], bool], most: int) -> int:
    """The greatest length up to `most` that fits; 0 where none does."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


class Hands:
    """Args:
        at: quantile → the way there, all ways in the order of what they give the decoder of what the encoder has.
        room: tokens of the encoder, of the decoder.

    Attributes:
        parts: of a sample.
        step, window: raw tokens that a sample takes on average, and at most.
    """

    def __init__(self, at: Callable[[float], Way], room: tuple[int, int]):
        self._at, self._room, best = at, room, math.inf
        for count in COUNTS:
            hands = [self._hand((trial + 0.5) / _TRIALS, count) for trial in range(_TRIALS)]
            lengths, empty = zip(*(_played(hand, room) for hand in hands))
            share = sum(empty) / len(hands) / sum(room)
            if share < best - _WORTH:
                best, self.parts = share, count
                self.step, self.window = sum(lengths) // len(lengths), math.ceil(1.05 * max(lengths))
            if share <= _ENOUGH:
                break

    def deal(self, draws: Draws, document: int) -> Plan:
        """A sample's hand. document: raw tokens of a document there, on average."""
        *ways, last = self._hand(draws.uniform(), self.parts)
        return Plan([*(ways[place] for place in draws.order(len(ways))), last], document)

    def _hand(self, begin: float, count: int) -> list[Way]:
        """The last one is the nearest to the rooms' own proportion: nobody comes after it to make up for what it leaves."""
        ways = [self._at((begin + place) / count) for place in range(count)]
        own = math.atan2(*self._room)
        far = [abs(math.atan2(*way.sizes(sum(self._room))) - own) for way in ways]
        last = ways.pop(far.index(min(far)))
        return [*ways, last]


class Plan:
    """A hand as it is played."""

    def __init__(self, ways: list[Way], document: int):
        self._ways, self._document, self._left = ways, document, None

    def next(self, room: Sequence[int]) -> tuple[Way, int]:
        """`(the way to corrupt what comes next, raw tokens of it at most)`, where this is left of the rooms."""
        if self._left is not None and self._left < _SHORTEST and len(self._ways) > 1:
            self._ways, self._left = self._ways[1:], None
        if self._left is None:
            self._left = part(self._ways, room, self._document)
        return self._ways[0], self._left

    def took(self, length: int) -> None:
        self._left -= length


def part(ways: Sequence[Way], room: Sequence[int], document: int) -> int:
    """Raw tokens for the first of these ways, so that all of them fill the rooms; for the last of a hand there is no limit."""
    if len(ways) == 1:
        return 2**31

    def sizes(length: int) -> np.ndarray:
        return np.array([_sizes(way, length, document) for way in ways])

    even = _longest_of_all(ways, room, document)
    if even < _SHORTEST:
        return max(even, 1)
    at_even = sizes(even)
    slopes = (sizes(2 * even) - at_even) / even
    free, longer, missing = np.ones(len(ways), bool), np.zeros(len(ways)), room - at_even.sum(axis=0)
    for _ in ways:  # the least change that fills the rooms; those that would become too long or too short stay at the limit
        here = slopes[free]
        gram = here.T @ here
        if np.linalg.det(gram) <= 1e-4 * np.trace(gram) ** 2:
            break  # they fill the rooms in the same proportion
        longer[free] = here @ np.linalg.solve(gram, missing - longer[~free] @ slopes[~free])
        mean = even + longer.mean()
        limited = np.clip(longer, mean / _STRETCH - even, mean * _STRETCH - even)
        over = free & (limited != longer)
        longer = np.where(over, limited, longer)
        if not over.any():
            break
        free &= ~over
    return max(round(even + float(longer[0])), 1)


def _sizes(way: Way, length: int, document: int) -> tuple[int, int]:
    """Of so many raw tokens, in documents."""
    count, rest = divmod(length, document)
    one, more = way.sizes(document) if count else (0, 0), way.sizes(rest) if rest else (0, 0)
    return count * one[0] + more[0], count * one[1] + more[1]


def _longest_of_all(ways: Sequence[Way], room: Sequence[int], document: int) -> int:
    """Raw tokens of which each of these ways can have as many."""

    def fits(length: int) -> bool:
        sizes = [_sizes(way, length, document) for way in ways]
        return all(sum(of_room) <= there for of_room, there in zip(zip(*sizes), room))

    return longest(fits, 4 * int(sum(room)))


def _played(ways: list[Way], room: tuple[int, int]) -> tuple[int, int]:
    """`(raw tokens that a hand takes, tokens of both rooms that stay empty)`, where documents are as long as parts."""
    left, taken, document = np.array(room), 0, 4 * sum(room)
    for place, way in enumerate(ways):
        length = min(part(ways[place:], left, document), _longest_of_all([way], left, document))
        left, taken = left - way.sizes(length), taken + length
    return taken, int(left.sum())
