"""Input cut into shards: the pieces that are done, remembered and, where need be, done again, one by one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import xxhash

from megatron_ext.corpus.flags import READERS
from megatron_ext.corpus.inputs import format_of, parts, size_of, state_of


@dataclasses.dataclass(frozen=True)
class Shard:
    """A piece of one input file: of a file that is cut, what begins in [begin, end), in the reader's own measure.

    Attributes:
        number: its place in the order of the corpus.
        size: bytes on disk. print: of the file as it was found (its size and time of change).
    """

    number: int
    file: str
    format: str
    begin: int
    end: int | None
    size: int
    print: str

    @property
    def name(self) -> str:
        return f"part-{self.number:05d}"


def cut(files: Iterable[str], flags: Any, size: float) -> Iterator[Shard]:
    """Shards of about `size` bytes, in order. A file whose format cannot be cut is one. `flags`: see `documents.records`."""
    number = 0
    for file in files:
        kind = flags.input_format or format_of(file, READERS)
        whole, state = size_of(file), fingerprint(file)
        for begin, end in parts(file, READERS.load(kind), flags, size):
            share = (whole if end is None else end) - begin
            yield Shard(number, file, kind, begin, end, share, state)
            number += 1


def fingerprint(path: str) -> str:
    """Of a file as it is now, by size and time of change: cheap, and another one after any writing."""
    return xxhash.xxh3_64_hexdigest(state_of(path).encode())
