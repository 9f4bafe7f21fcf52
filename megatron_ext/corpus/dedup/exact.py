"""Exact duplicates: documents, and lines, sentences or paragraphs within documents, by xxh3-128 of their normalised text.

The first one in the corpus' order stays, later ones are cut. Three steps, each a pure function:

1.  `hash_documents` or `hash_units`, a shard: an array of KEY, hash and number. Units are numbered through the shard from `base`;
2.  `by_slice` divides the arrays by hash; `repeated`, a slice of all shards: the numbers of those that were there before;
3.  a shard: documents with these numbers are dropped, or `without` cuts the units from their texts.

Two different texts of one hash are left to chance: among 10^12 texts it is 10^-15.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import xxhash

KEY = np.dtype([("high", np.uint64), ("low", np.uint64), ("number", np.uint64)])

_CLOSING = "\"'”’»)\\]）」』】》"
_BORDERS = {
    "line": re.compile(r"\n"),
    "paragraph": re.compile(r"\n(?:[^\S\n]*\n)+"),
    "sentence": re.compile(rf"[.!?…]+[{_CLOSING}]*\s+|[。！？｡]+[{_CLOSING}]*\s*|\n\s*"),
}
UNITS = tuple(_BORDERS)
"""Lines; sentences, by their marks, without a model; paragraphs, at blank lines."""


def units(text: str, unit: str) -> Iterator[str]:
    """The text in pieces, each with the border behind it: joined they are the text."""
    begin = 0
    for border in _BORDERS[unit].finditer(text):
        yield text[begin : border.end()]
        begin = border.end()
    if begin < len(text):
        yield text[begin:]


def hash_documents(texts: Iterable[str], base: int, normalize: Callable[[str], str] = str) -> np.ndarray:
    """The keys of a shard's documents, numbered from `base`."""
    return _keys((number, normalize(text)) for number, text in enumerate(texts, base))


def hash_units(
    texts: Iterable[str], unit: str, base: int, normalize: Callable[[str], str] = str.strip, least: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """The keys of a shard's lines, sentences or paragraphs, and how many each document has.

    Args:
        least: characters of a unit's normalised text, below which it always stays: it has a number, but no key.
    """
    counts: list[int] = []

    def numbered():
        number = base
        for text in texts:
            counts.append(0)
            for piece in units(text, unit):
                counts[-1] += 1
                if len(normal := normalize(piece)) >= least:
                    yield number, normal
                number += 1

    keys = _keys(numbered())
    return keys, np.array(counts, np.uint64)


def _keys(numbered: Iterable[tuple[int, str]]) -> np.ndarray:
    rows = (
        (int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big"), number)
        for number, text in numbered
        for digest in [xxhash.xxh3_128_digest(text.encode("utf-8", "surrogatepass"))]
    )
    return np.fromiter(rows, KEY)


def by_slice(keys: np.ndarray, slices: int) -> list[np.ndarray]:
    """Keys by the slice of hash space that they fall into: the low half modulo slices."""
    slice_of = keys["low"] % np.uint64(slices)
    order = np.argsort(slice_of, kind="stable")
    return np.split(keys[order], np.searchsorted(slice_of[order], np.arange(1, slices)))


def repeated(keys: np.ndarray, times: int = 2) -> np.ndarray:
    """The numbers, sorted, of those whose hash an earlier one has, where at least `times` have it. `keys` is used up: sorted."""
    keys.sort(order=("low", "high", "number"))
    new = np.ones(len(keys), bool)
    new[1:] = (keys["low"][1:] != keys["low"][:-1]) | (keys["high"][1:] != keys["high"][:-1])
    groups = np.cumsum(new) - 1
    often = np.bincount(groups) >= times if len(keys) else new
    return np.sort(keys["number"][~new & often[groups]])


def without(text: str, unit: str, numbers: Iterable[int], least: int = 0) -> str | None:
    """The text without these of its units, numbered from 0; None where something was cut and fewer characters are left."""
    dropped = set(numbers)
    if not dropped:
        return text
    left = "".join(piece for number, piece in enumerate(units(text, unit)) if number not in dropped)
    return left if len(left.strip()) >= least else None


def of_documents(numbers: np.ndarray, counts: np.ndarray, base: int) -> list[np.ndarray]:
    """Numbers of units, sorted, that `repeated` found in a shard: those of each document, from its first unit on."""
    ends = np.cumsum(counts, dtype=np.uint64) + np.uint64(base)
    parts = np.split(numbers, np.searchsorted(numbers, ends))[: len(counts)]
    return [part - begin for part, begin in zip(parts, ends - counts)]
