"""Documents with their classes, on disk, in an order that follows from the seed and the texts alone.

A text that is there twice counts once, one that is there as both classes not at all: nothing that is held out was learned from.
Of `held_out_every` documents of a class one is held out, in the order of their hashes (xxh3): by turns for the threshold and
for the figures. Memory holds 100 bytes or so a document.
"""

from __future__ import annotations

import collections
import math
import tempfile
from collections.abc import Iterator
from typing import Any

import xxhash

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.classifiers.flags import CLASSES, ExampleFlags
from megatron_ext.corpus.documents import Document, Reject, document, open_source, records
from megatron_ext.corpus.flags import READERS, InputFlags
from megatron_ext.corpus.inputs import expand_all, format_of, size_on_disk
from megatron_ext.corpus.progress import Meter

PARTS = ("learned", "threshold", "figures")
FEWEST = {"learned": 20, "threshold": 5, "figures": 5}
"""Documents of each class, for which part there must be how many."""


class Examples:
    """Attributes: seen: documents by `(part, class)`, and what was passed over by why."""

    def __init__(self, c: ExampleFlags, folder: str):
        self._c = c
        self._file = tempfile.TemporaryFile(dir=folder)
        self._places: dict[int, tuple[str, int, int]] = {}
        self._both: set[int] = set()
        self._parts: dict[str, list[int]] = {part: [] for part in PARTS}
        self.seen: collections.Counter[Any] = collections.Counter()

    def add(self, text: str, label: str) -> None:
        seen = (text[: self._c.characters] if self._c.characters else text).encode()
        key = xxhash.xxh3_64_intdigest(seen, self._c.seed)
        if key in self._places:
            self.seen["twice"] += 1
            if self._places[key][0] != label:
                self._both.add(key)
            return
        self._places[key] = label, self._file.tell(), len(seen)
        self._file.write(seen)

    def finish(self) -> None:
        """All are there. UserError: there are too few to learn from or to measure with."""
        for key in self._both:
            del self._places[key]
        self.seen["both"] = len(self._both)
        for label in CLASSES:
            ordered = sorted(key for key, place in self._places.items() if place[0] == label)
            for rank, key in enumerate(ordered):
                part = _part(rank, self._c.held_out_every)
                self._parts[part].append(key)
                self.seen[part, label] += 1
        for part in PARTS:
            for label in CLASSES:
                if self.seen[part, label] < FEWEST[part]:
                    raise UserError(self._too_few(part, label))

    def _too_few(self, part: str, label: str) -> str:
        count = sum(self.seen[each, label] for each in PARTS)
        if not count:
            rejected = f" ({self.seen['rejected']:,} records were rejected)" if self.seen["rejected"] else ""
            return f"there is no {label} document to learn from{rejected}; a classifier needs examples of both classes"
        use = "to learn from" if part == "learned" else f"for the {part}"
        return (
            f"there are too few {label} documents ({count:,}): {self.seen[part, label]:,} of them {use}, at least {FEWEST[part]}"
        )

    def of(self, part: str) -> Iterator[tuple[str, str]]:
        """`(text, class)` of a part, in the order of their hashes."""
        for key in sorted(self._parts[part]):
            label, place, size = self._places[key]
            self._file.seek(place)
            yield self._file.read(size).decode(), label


def _part(rank: int, every: int) -> str:
    """The part of the document of this rank in its class."""
    return PARTS[1 + rank // every % 2] if rank % every == 0 else PARTS[0]


def gather(c: ExampleFlags, folder: str) -> Examples:
    """Read all files."""
    found = Examples(c, folder)
    files = [(file, label) for label in CLASSES for file in expand_all(getattr(c, label))]
    files += [(file, None) for file in expand_all(c.labelled)]
    with Meter("reading", size_on_disk([file for file, _ in files]), interval=100_000) as meter:
        for file, label in files:
            _read(file, label, found, c, meter)
    found.finish()
    return found


def _read(file: str, label: str | None, found: Examples, c: ExampleFlags, meter: Meter) -> None:
    reader = READERS.load(c.input_format or format_of(file, READERS))
    reading = InputFlags(text_sample_by=c.text_sample_by, html_extractor=c.html_extractor)
    needed = [c.text_key, *(c.label_keys if label is None else ())] if not hasattr(reader, "TEXT") else []
    with open_source(file, reader) as source:
        before = 0
        for record in records(source, reader, None, reading, needed):
            try:
                read: Document = document(record, reader, c.text_key)
                found.add(read.text, label or _label(read.values, c))
            except Reject:
                found.seen["rejected"] += 1
                continue
            meter.advance(source.position - before, read.size(), 1)
            before = source.position


def _label(values: dict[str, Any], c: ExampleFlags) -> str:
    """The class that a record's own numbers say; Reject: one of them is none."""
    numbers = []
    for key in c.label_keys:
        try:
            numbers.append(float(values[key]))
        except (KeyError, TypeError, ValueError):
            raise Reject("key_missing", f"there is no number under {key!r}") from None
    if any(math.isnan(number) or number == -1 for number in numbers):  # -1 in Jigsaw's: nobody judged it
        raise Reject("key_missing", "nobody judged it")
    other = CLASSES[c.label_means == CLASSES[0]]
    return c.label_means if max(numbers) >= c.label_from else other
