"""Exact substrings that were there before in the corpus, within and across documents (arXiv:2107.06499): which, and the cuts.

A window is N items in a row within one document: bytes (uint8), code points or tokens (uint32, uint16). It is a copy if an equal
one begins earlier in the corpus' order. The union of all copies is cut: of every passage of N items or more that occurs several
times the first occurrence stays. (Where a text repeats itself at a distance below N, as `aaaa…` does, one period stays.)

The paper builds a suffix array: 5 to 9 bytes of memory a byte of text, and of no use across machines. Here windows are told by
64-bit hashes, in slices of hash space, and equal hashes are believed only when the texts are equal, item by item:

1.  `anchors`, a shard: one hash for each stretch of windows that could only all be unique, or not (`windows.py`); 0.6 bytes a
    byte at N = 200;
2.  `repeated`, a slice of hashes: the stretches whose anchor others have too. In the rest nothing can be a copy;
3.  `windows`, a shard: the hashes of the windows in these stretches;
4.  `later`, a slice: which of them have the hash of an earlier one, and of which;
5.  `confirm`, a shard: compares the texts. Windows of equal hashes that are not equal are left to `settle`;
6.  `spans`, a shard: what is cut from which document.

Each is a pure function of arrays; `by_slice` and `by_shard` divide what goes from one to the next. `find` does it all in one
process, in memory or through files in a folder; then nothing is held but one shard's or one slice's share.
"""

from __future__ import annotations

import pathlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from megatron_ext.corpus.matching.windows import ALL_BITS, kernels

WINDOW = 200
"""Bytes: about the 50 tokens of arXiv:2107.06499."""


class Shard(NamedTuple):
    """Documents one after another.

    Attributes:
        items: [n] of uint8, uint16 or uint32; may be mapped from a file.
        ends: [documents] of uint64, where each document ends in `items`.
    """

    items: np.ndarray
    ends: np.ndarray


class Spans(NamedTuple):
    """Stretches of documents, sorted, apart from each other: the document's number in its shard, begin and end in it."""

    document: np.ndarray
    begin: np.ndarray
    end: np.ndarray


class How(NamedTuple):
    """N, and what only tests change: fewer bits of hashes, so that they collide, and the implementation."""

    window: int = WINDOW
    mask: int = ALL_BITS
    implementation: str = "auto"

    @property
    def gram(self) -> int:
        return max(1, 3 * self.window // 4)


DEFAULT = How()


def shard(documents: Sequence[bytes | str | np.ndarray]) -> Shard:
    """Documents as bytes, as code points (from str), or as the arrays of tokens that they are."""
    arrays = [_items(document) for document in documents]
    ends = np.cumsum([len(array) for array in arrays], dtype=np.uint64)
    return Shard(np.concatenate(arrays) if arrays else np.empty(0, np.uint8), ends)


def _items(document: bytes | str | np.ndarray) -> np.ndarray:
    if isinstance(document, str):
        return np.frombuffer(document.encode("utf-32-le"), np.uint32)
    return np.frombuffer(document, np.uint8) if isinstance(document, bytes) else document


def bases(shards: Iterable[Shard]) -> np.ndarray:
    """The position in the corpus at which each shard begins."""
    return np.cumsum([0, *(len(shard.items) for shard in shards)], dtype=np.uint64)[:-1]


def anchors(shard: Shard, base: int, how: How = DEFAULT) -> np.ndarray:
    """(hash, position) of each stretch of windows."""
    return kernels(how.implementation).anchors(shard.items, shard.ends, int(base), how.window, how.gram, how.mask)


def repeated(pairs: np.ndarray, how: How = DEFAULT) -> np.ndarray:
    """The positions, sorted, of those of a slice's anchors that are there more than once. `pairs` is used up."""
    return pairs[: kernels(how.implementation).repeated_pairs(pairs), 0].copy()


def windows(shard: Shard, base: int, wanted: np.ndarray, how: How = DEFAULT) -> np.ndarray:
    """(hash, position) of each window of the stretches at these positions, which are the shard's, sorted."""
    kernel = kernels(how.implementation).windows
    return kernel(shard.items, shard.ends, int(base), how.window, how.gram, how.mask, np.ascontiguousarray(wanted))


def later(pairs: np.ndarray, how: How = DEFAULT) -> np.ndarray:
    """(position, first position), sorted, of those of a slice's windows whose hash came before. Lies where `pairs` lay."""
    return pairs[: kernels(how.implementation).later_pairs(pairs)]


def confirm(number: int, pairs: np.ndarray, shards: Sequence[Shard], how: How = DEFAULT) -> tuple[np.ndarray, np.ndarray]:
    """Compares the windows of shard `number` with the first ones of their hash: positions of those that are equal, and not.

    Args:
        pairs: (position, first position), sorted.
    """
    begins, equal = bases(shards), np.zeros(len(pairs), bool)
    owner = np.searchsorted(begins, pairs[:, 1], side="right") - 1
    for other in np.unique(owner).tolist():
        rows = np.flatnonzero(owner == other) if len(shards) > 1 else slice(None)
        places = [np.ascontiguousarray(pairs[rows, side] - begins[of]) for side, of in ((0, number), (1, other))]
        kernel = kernels(how.implementation).equal_windows
        equal[rows] = kernel(shards[number].items, places[0], shards[other].items, places[1], how.window)
    return pairs[equal, 0], pairs[~equal, 0]


def settle(unequal: np.ndarray, shards: Sequence[Shard], how: How = DEFAULT) -> np.ndarray:
    """Which windows are copies among all that are not equal to the first one of their hash: hardly ever any.

    If a window is unequal to that one, all that are equal to it are among these.
    """
    begins, seen, copies = bases(shards), set(), []
    for position in np.sort(unequal).tolist():
        number = int(np.searchsorted(begins, position, side="right")) - 1
        place = position - int(begins[number])
        content = shards[number].items[place : place + how.window].tobytes()
        if content in seen:
            copies.append(position)
        seen.add(content)
    return np.array(copies, np.uint64)


def spans(shard: Shard, base: int, copies: np.ndarray, how: How = DEFAULT) -> Spans:
    """The union of the windows at these positions, sorted, in documents."""
    places = copies - np.uint64(base)
    document = np.searchsorted(shard.ends, places, side="right")
    new = np.ones(len(places), bool)
    new[1:] = (places[1:] > places[:-1] + np.uint64(how.window)) | (document[1:] != document[:-1])
    last = np.append(new[1:], True)[: len(new)]
    begins = np.append(np.uint64(0), shard.ends)[document[new]]
    return Spans(document[new], places[new] - begins, places[last] + np.uint64(how.window) - begins)


def on_characters(shard: Shard, spans: Spans) -> Spans:
    """Spans of bytes of UTF-8 moved inward to the borders of characters: what is cut has been there before, all of it."""
    begins = np.append(np.uint64(0), shard.ends)[spans.document]
    begin, end = spans.begin + begins, spans.end + begins
    for _ in range(3):
        begin += (begin < end) & _inside_a_character(shard, begin)
        end -= (begin < end) & _inside_a_character(shard, end)
    kept = end > begin
    return Spans(spans.document[kept], (begin - begins)[kept], (end - begins)[kept])


def _inside_a_character(shard: Shard, places: np.ndarray) -> np.ndarray:
    """Whether the bytes there continue a character; no document begins with such a byte, and none is behind the last one."""
    known = np.minimum(places, np.uint64(max(len(shard.items), 1) - 1))
    return (places < len(shard.items)) & (shard.items[known] & 0xC0 == 0x80)


def cut(text: bytes | str, spans: Iterable[tuple[int, int]], least: int = 0) -> bytes | str | None:
    """The text without these stretches; None, where something was cut and less than `least` items are left."""
    left, at, pieces = len(text), 0, []
    for begin, end in spans:
        pieces.append(text[at:begin])
        left, at = left - (end - begin), end
    if not pieces:
        return text
    return None if left < least else text[:0].join([*pieces, text[at:]])


def by_slice(pairs: np.ndarray, slices: int) -> list[np.ndarray]:
    """Pairs by the slice of hash space that their hashes fall into: hash modulo slices."""
    if slices == 1:
        return [pairs]
    slice_of = (pairs[:, 0] % np.uint64(slices)).astype(np.min_scalar_type(slices))
    order = np.argsort(slice_of, kind="stable")
    return np.split(pairs[order], np.searchsorted(slice_of[order], np.arange(1, slices)))


def by_shard(rows: np.ndarray, shards: Sequence[Shard]) -> list[np.ndarray]:
    """Positions, or pairs by their first number, sorted, by the shard in which they lie."""
    return np.split(rows, np.searchsorted(rows if rows.ndim == 1 else rows[:, 0], bases(shards)[1:]))


class _Kept:
    """What goes from one step to the next: arrays by name and number, in memory or in files."""

    def __init__(self, folder: pathlib.Path | None):
        self.folder, self.arrays = folder, defaultdict(list)

    def add(self, name: str, parts: Iterable[np.ndarray]) -> None:
        for number, part in enumerate(parts):
            if self.folder is None:
                self.arrays[name, number].append(part)
            elif len(part):
                with open(self.folder / f"{name}.{number}", "ab") as file:
                    part.tofile(file)

    def take(self, name: str, number: int, columns: int) -> np.ndarray:
        parts = self.arrays.pop((name, number), [])
        path = self.folder / f"{name}.{number}" if self.folder else None
        if path and path.exists():
            parts = [np.fromfile(path, np.uint64)]
            path.unlink()
        whole = parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.uint64), *map(np.ravel, parts)])
        return whole.reshape(-1, columns) if columns > 1 else whole.ravel()


def find(shards: Sequence[Shard], how: How = DEFAULT, slices: int = 1, folder: pathlib.Path | None = None) -> list[Spans]:
    """All six steps in this process: the spans to be cut, a shard each. Bytes: call `on_characters` on them.

    Args:
        slices: of hash space; memory is that of the largest slice or shard, where there is a folder.
        folder: where intermediate files are kept, some bytes a byte of what repeats; empty again afterwards. None: in memory.
    """
    kept, begins = _Kept(folder), bases(shards)
    for shard, base in zip(shards, begins):
        kept.add("anchors", by_slice(anchors(shard, base, how), slices))
    for number in range(slices):
        kept.add("repeated", by_shard(repeated(kept.take("anchors", number, 2), how), shards))
    for number, (shard, base) in enumerate(zip(shards, begins)):
        wanted = np.sort(kept.take("repeated", number, 1))
        kept.add("windows", by_slice(windows(shard, base, wanted, how), slices))
    for number in range(slices):
        kept.add("later", by_shard(later(kept.take("windows", number, 2), how), shards))
    for number in range(len(shards)):
        pairs = kept.take("later", number, 2)
        equal, unequal = confirm(number, pairs if slices == 1 else pairs[np.argsort(pairs[:, 0])], shards, how)
        kept.add("unequal", [unequal])
        kept.add(f"equal.{number}", [equal])
    settled = by_shard(settle(kept.take("unequal", 0, 1), shards, how), shards)
    found = []
    for number, (shard, base) in enumerate(zip(shards, begins)):
        copies = np.sort(np.concatenate([kept.take(f"equal.{number}", 0, 1), settled[number]]))
        found.append(spans(shard, base, copies, how))
    return found


def _measure(folder: str, megabytes: float = 50, slices: int = 1) -> None:
    """Prints speed and memory on the files below a folder; with several slices, from a mapped file in 8 shards, through files."""
    import resource
    import tempfile
    import time

    with tempfile.TemporaryDirectory() as temporary:
        joined, ends, size = pathlib.Path(temporary, "joined"), [], 0
        with open(joined, "wb") as file:
            for path in sorted(path for path in pathlib.Path(folder).rglob("*.[pt][yx]*") if path.suffix in (".py", ".txt")):
                size += file.write(path.read_bytes()) if size < megabytes * 1e6 else 0
                ends.append(size)
        items, whole = np.memmap(joined, np.uint8, "r"), np.unique(np.array(ends, np.uint64))
        cuts = [0, *whole[np.linspace(0, len(whole) - 1, 9).astype(int)[1:]].tolist()] if slices > 1 else [0, size]
        shards = [
            Shard(items[begin:end] if slices > 1 else np.array(items), whole[(whole > begin) & (whole <= end)] - np.uint64(begin))
            for begin, end in zip(cuts, cuts[1:])
        ]
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        found = find(shards, slices=slices, folder=pathlib.Path(temporary) if slices > 1 else None)
        seconds, after = time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cut_away = sum(int((spans.end - spans.begin).sum()) for spans in found)
    print(f"{size / 1e6:,.0f} MB in {len(whole):,} documents: {size / 1e6 / seconds:.1f} MB/s of one core,", end=" ")
    print(f"{cut_away / size:.1%} cut, peak {(after - before) * 1024 / size:.2f} bytes a byte", end="")
    print(", pages of the mapped file among them" if slices > 1 else "")


if __name__ == "__main__":
    import sys

    _measure(sys.argv[1], *map(float, sys.argv[2:3]), *map(int, sys.argv[3:4]))
