"""Passages of test sets in a text, by n-grams of 13 words (arXiv:2005.14165, appendix C), whatever their case and punctuation.

A text is cut into units: the words of `corpus/words.py` that have a letter or digit, of which letters and digits count, in
small letters; and where a script writes no spaces (Chinese, Japanese, Thai …) each character, which counts for two thirds of a
word. (ICU's words there depend on what stands around them, so a quotation would be cut otherwise than the test.) An n-gram is as
few units as weigh n words: 13 words, or 20 characters.

`Index` holds the n-grams of test items, but for those that are mostly numbers, which tables and lists of dates have too. An item
that is shorter than n words is looked for as a whole, if it has `least` words. Hashes of 64 bits are believed: in 10^12 words
with 10^7 n-grams half of one is wrong.

`native/contamination.cpp` does the work, or the twin in this file. Reason for own code: in Python 1 MB/s.
"""

from __future__ import annotations

import functools
from array import array
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from megatron_ext.corpus import words
from megatron_ext.corpus.analysis import native_with_tables
from megatron_ext.corpus.matching.substrings import cut
from megatron_ext.native import compiled, say_that_the_twins_serve

IMPLEMENTATIONS = ("native", "python") if compiled else ("python",)
N, LEAST = 13, 8
WORD, CHARACTER = 3, 2
_TABLE = 0x20000


class Item(NamedTuple):
    """A text of a test set, and where it stands there."""

    test_set: str
    id: str
    text: str


class Hit(NamedTuple):
    """A stretch of a text, in characters, that a test set has too, and the first item whose n-gram begins it."""

    begin: int
    end: int
    test_set: str
    id: str


class Index:
    """The n-grams of test items; an n-gram of several items counts as the first one's."""

    def __init__(self, items: Iterable[Item] = (), n: int = N, least: int = LEAST, implementation: str = "auto"):
        if implementation == "auto" and not compiled:
            say_that_the_twins_serve()
        if implementation not in ("auto", *IMPLEMENTATIONS):
            raise ValueError(f"ngrams: implementation is {implementation!r}, and here are {', '.join(IMPLEMENTATIONS)}")
        native = compiled and implementation != "python"
        self._grams = native_with_tables().TestGrams(n, least, small_letters().tobytes()) if native else Twin(n, least)
        self.items: list[tuple[str, str]] = []
        self._sets: dict[str, int] = {}
        for item in items:
            self.add(item)

    def add(self, item: Item) -> int:
        """How many n-grams it has that are looked for; 0: it is too short, or mostly numbers."""
        added = self._grams.add(item.text, self._sets.setdefault(item.test_set, len(self._sets)))
        if added:
            self.items.append((item.test_set, item.id))
        return added

    def __len__(self) -> int:
        return len(self._grams)

    def scan(self, text: str) -> list[Hit]:
        """What of the text is in test sets; of one set, n-grams that overlap are one hit."""
        return [Hit(begin, end, *self.items[item]) for begin, end, item in self._grams.scan(text)]


def remedy(text: str, hits: Sequence[Hit], action: str, margin: int = 0, least: int = 0) -> str | None:
    """What is left of a text with these hits.

    Args:
        action: `document`: nothing, once there is a hit; `span`: all but the hits and `margin` characters on both sides.
        least: characters below which nothing is left, where something was cut.
    """
    if action not in ("document", "span"):
        raise ValueError(f"decontamination: the action is {action!r}; take document or span")
    if hits and action == "document":
        return None
    spans: list[list[int]] = []
    for begin, end in sorted((max(0, hit.begin - margin), min(len(text), hit.end + margin)) for hit in hits):
        if spans and begin <= spans[-1][1]:
            spans[-1][1] = max(end, spans[-1][1])
        else:
            spans.append([begin, end])
    return cut(text, spans, least)


@functools.cache
def small_letters() -> array:
    """For each code point below 0x20000 that of its small letter, where that is one."""
    table = array("I", range(_TABLE))
    for code in range(_TABLE):
        small = chr(code).lower()
        if len(small) == 1:
            table[code] = ord(small)
    return table


class Twin:
    """native/contamination.cpp in Python: grams are compared themselves, and not their hashes."""

    def __init__(self, n: int, least: int):
        if not 1 <= least <= n:
            raise ValueError("TestGrams: least is 1 to n")
        self.n, self.least = n * WORD, least * WORD
        self.group: list[int] = []
        self.grams: dict[tuple[str, ...], int] = {}
        self.shorts: dict[tuple[str, ...], list[tuple[tuple[str, ...], int]]] = {}

    def __len__(self) -> int:
        return len(self.grams) + len(self.shorts)

    def add(self, text: str, group: int) -> int:
        added = self._add(_units(text), len(self.group))
        self.group += [group] * (added > 0)
        return added

    def _add(self, units, item: int) -> int:
        if sum(unit[1] for unit in units) < self.n:
            head = _end(units, 0, self.least)
            if not head or _mostly_numbers(units):
                return 0
            self.shorts.setdefault(_gram(units[:head]), []).insert(0, (_gram(units), item))
            return 1
        ends = [(begin, _end(units, begin, self.n)) for begin in range(len(units))]
        grams = [units[begin:end] for begin, end in ends if end and not _mostly_numbers(units[begin:end])]
        for gram in grams:
            self.grams.setdefault(_gram(gram), item)
        return len(grams)

    def scan(self, text: str) -> list[tuple[int, int, int]]:
        units, hits = _units(text), []
        for begin in range(len(units)):
            for end, item in self._found(units, begin):
                start, stop = units[begin][3], units[end - 1][4]
                if hits and start < hits[-1][1] and self.group[item] == self.group[hits[-1][2]]:
                    hits[-1] = hits[-1][0], max(stop, hits[-1][1]), hits[-1][2]
                else:
                    hits.append((start, stop, item))
        return hits

    def _found(self, units, begin: int):
        end = _end(units, begin, self.n)
        if end and _gram(units[begin:end]) in self.grams:
            yield end, self.grams[_gram(units[begin:end])]
        head = _end(units, begin, self.least)
        for gram, item in self.shorts.get(_gram(units[begin:head]), ()) if head else ():
            if _gram(units[begin : begin + len(gram)]) == gram:
                yield begin + len(gram), item


def _units(text: str) -> list[tuple[str, int, bool, int, int]]:
    """(letters, weight, a number, begin, end) of each."""
    small, units = small_letters(), []
    for begin, end, flags in words.split(text):
        if not flags & words.HAS_WORD:
            continue
        places = range(begin, end)
        unspaced = words.kind_of(text[begin]) & words.UNSPACED
        for piece in [range(place, place + 1) for place in places] if unspaced else [places]:
            kinds = [words.kind_of(text[place]) for place in piece]
            letters = [text[place] for place, kind in zip(piece, kinds) if unspaced or kind & (words.LETTER | words.NUMBER)]
            lowered = "".join(chr(small[ord(letter)]) if ord(letter) < _TABLE else letter for letter in letters)
            number = not any(kind & words.LETTER for kind in kinds)
            units.append((lowered, CHARACTER if unspaced else WORD, number, piece[0], piece[-1] + 1))
    return units


def _gram(units) -> tuple[str, ...]:
    return tuple(unit[0] for unit in units)


def _mostly_numbers(units) -> bool:
    return 2 * sum(unit[1] for unit in units if unit[2]) > sum(unit[1] for unit in units)


def _end(units, begin: int, weight: int) -> int:
    """Where the gram of this weight ends that begins here; 0: the text ends before."""
    for end in range(begin, len(units)):
        weight -= units[end][1]
        if weight <= 0:
            return end + 1
    return 0
