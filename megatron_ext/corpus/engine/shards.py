"""Input cut into shards: the pieces that are done, remembered and, where need be, done again, one by one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from types import SimpleNamespace

from megatron_ext.corpus.flags import READERS
from megatron_ext.corpus.inputs import expand_all, format_of, parts, size_of, state_of


@dataclasses.dataclass(frozen=True)
class Shard:
    """A piece of one input file: of a file that is cut, what begins in [begin, end), in the reader's own measure.

    Attributes:
        number: its place in the order of the corpus.
        size: bytes on disk, about. state: of the file as it was found; another word once it was written to.
    """

    number: int
    file: str
    format: str
    begin: int
    end: int | None
    size: int
    state: str

    @property
    def name(self) -> str:
        return f"part-{self.number:05d}"


def cut(c: SimpleNamespace) -> Iterator[Shard]:
    """Shards of about `--shard-size`, in order. A file whose format cannot be cut is one."""
    number, size = 0, 1e6 * c.shard_size
    for file in expand_all(c.input):
        kind = c.input_format or format_of(file, READERS)
        whole, state = size_of(file), state_of(file)
        for begin, end in parts(file, READERS.load(kind), c, size):
            yield Shard(number, file, kind, begin, end, (whole if end is None else end) - begin, state)
            number += 1
