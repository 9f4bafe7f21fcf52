r"""Texts to shingles: the hashes of their n-grams, of which near-duplicates share most (Broder 1997).

Units are words, as `corpus/words.py` cuts the normalised text (Chinese, Japanese and Thai by dictionaries, never by spaces), or
characters. A unit's 64-bit hash is of its UTF-8, in blocks of eight bytes; an n-gram's is a polynomial of its units' hashes,

    H_i = mix(Σ_k u_{i+k} B^{n-1-k} mod 2^64)       B = 0x9e3779b97f4a7c15, mix: MurmurHash3's finaliser

so that each follows from the one before. A text of fewer than n units has one shingle, of all of them; a text without a unit
has none, and is nothing's copy.

These hashes reach the disk: what they give must not change without a change of the package's version.
`native/shingles.h` is the one way to get them, the twin here the other.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from megatron_ext.corpus import words
from megatron_ext.corpus.analysis import native_with_tables
from megatron_ext.corpus.matching.normalize import DEFAULT, Normalization, fold, formed, table, unicode_form
from megatron_ext.native import compiled, say_that_the_twins_serve

UNITS = ("words", "characters")
IMPLEMENTATIONS = ("native", "python") if compiled else ("python",)
BASE = np.uint64(0x9E3779B97F4A7C15)
_ALL = 2**64 - 1


class Shingles:
    """How texts become shingles.

    Args:
        n: units of a shingle.
        units: one of UNITS.
        same: which differences do not count.
        implementation: `auto`, `native` or `python`.
    """

    def __init__(self, n: int = 5, units: str = "words", same: Normalization = DEFAULT, implementation: str = "auto"):
        if n < 1 or units not in UNITS:
            raise ValueError(f"shingles: n is {n} and units {units!r}; n is at least 1, and units are {' or '.join(UNITS)}")
        if implementation == "auto" and not compiled:
            say_that_the_twins_serve()
        elif implementation not in ("auto", *IMPLEMENTATIONS):
            raise ValueError(f"shingles: implementation is {implementation!r}, and here are {', '.join(IMPLEMENTATIONS)}")
        self.n, self.units, self.same = n, units, same
        self.native: Any = None
        if compiled and implementation != "python":
            by_characters = units == "characters"
            self.native = native_with_tables().Shingles(table(same).tobytes(), formed(), same.whitespace, n, by_characters)

    def normalize(self, text: str) -> str:
        text = unicode_form(text, self.same)
        return self.native.normalize(text) if self.native else fold(text, self.same)

    def ready(self, text: str) -> tuple[str, Any]:
        """What native code asks for: the text in its Unicode form, and how long its words in runs without spaces are.

        A text with such runs is normalised first, since they count there; to normalise it once more changes nothing.
        """
        if text.isascii():
            return text, None
        form, unspaced = self.native.look(text)
        if form:
            text = unicode_form(text, self.same)
            unspaced = unspaced or self.native.look(text)[1]
        if self.units == "characters" or not unspaced:
            return text, None
        text = self.native.normalize(text)
        runs = compiled.runs(text)
        return text, None if runs is None else words.lengths(runs)

    def hashes(self, text: str) -> np.ndarray:
        """The shingles of a text in order, uint64 [number]."""
        if self.native:
            return self.native.hashes(*self.ready(text))
        return _roll(np.array([unit_hash(unit) for unit in self._units(self.normalize(text))], np.uint64), self.n)

    def set(self, text: str) -> np.ndarray:
        """The shingles of a text as a set: sorted, each once."""
        found = np.sort(self.hashes(text))  # and not numpy.unique, which takes four times as long
        first = np.ones(len(found), bool)
        first[1:] = found[1:] != found[:-1]
        return found[first]

    def _units(self, text: str) -> list[str]:
        if self.units == "characters":
            return list(text)
        unspaced = words.runs(text)
        return [text[start:end] for start, end, _ in words.split(text, words.lengths(unspaced) if unspaced else ())]


def normalize(text: str, same: Normalization = DEFAULT, implementation: str = "auto") -> str:
    """The text as all its copies would be. Texts are without lone surrogates, as `documents.texts` gives them."""
    return Shingles(same=same, implementation=implementation).normalize(text)


@functools.lru_cache(2**16)
def unit_hash(unit: str) -> int:
    """The twin of `hash_bytes` in `native/hash.h`."""
    data, base = unit.encode(), int(BASE)
    h = len(data) * base & _ALL
    while len(data) > 8:
        h = (h ^ int.from_bytes(data[:8], "little")) * base & _ALL
        h ^= h >> 32
        data = data[8:]
    return int(mix(np.array([h ^ int.from_bytes(data, "little")], np.uint64))[0])


def mix(h: np.ndarray) -> np.ndarray:
    """MurmurHash3's finaliser, a bijection of 64 bits."""
    h = (h ^ h >> np.uint64(33)) * np.uint64(0xFF51AFD7ED558CCD)
    h = (h ^ h >> np.uint64(33)) * np.uint64(0xC4CEB9FE1A85EC53)
    return h ^ h >> np.uint64(33)


def _roll(units: np.ndarray, n: int) -> np.ndarray:
    n = min(n, len(units))
    if n == 0:
        return np.empty(0, np.uint64)
    count, found = len(units) - n + 1, np.zeros(1, np.uint64)
    for k in range(n):
        found = found * BASE + units[k : k + count]
    return mix(found)
