"""Input cut into shards: the pieces that are done, remembered and, where need be, done again, one by one.

A large file is cut where its format allows. Where a file is one document (pages, books), many share a shard: a shard of each
would cost three files that are flushed to disk a document.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from types import SimpleNamespace

from megatron_ext.corpus.flags import READERS
from megatron_ext.corpus.inputs import expand_all, format_of, is_one_document, parts, size_of, state_of


@dataclasses.dataclass(frozen=True)
class Piece:
    """Of one input file what begins in [begin, end), in its reader's own measure.

    Attributes: size: bytes on disk, about. state: of the file as it was found; another word once it was written to.
    """

    file: str
    format: str
    begin: int
    end: int | None
    size: int
    state: str


@dataclasses.dataclass(frozen=True)
class Shard:
    """One piece of a file, or whole files of a document each. Attributes: number: its place in the order of the corpus."""

    number: int
    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        return sum(piece.size for piece in self.pieces)

    @property
    def where(self) -> str:
        """What to call it when it fails."""
        more = f" and {len(self.pieces) - 1:,} files after it" if len(self.pieces) > 1 else ""
        return f"{self.pieces[0].file}{more} (part-{self.number:05d})"


def cut(c: SimpleNamespace) -> Iterator[Shard]:
    """Shards of about `--shard-size`, in order."""
    number, held, size = 0, [], 0
    for piece, shares in _pieces(c):
        if held and not (shares and size + piece.size <= 1e6 * c.shard_size):
            yield Shard(number, tuple(held))
            number, held, size = number + 1, [], 0
        held.append(piece)
        size += piece.size if shares else float("inf")
    if held:
        yield Shard(number, tuple(held))


def _pieces(c: SimpleNamespace) -> Iterator[tuple[Piece, bool]]:
    """All pieces in order, and whether a piece may share a shard."""
    for file in expand_all(c.input, leave_out=(c.output,)):
        kind = c.input_format or format_of(file, READERS)
        reader, whole, state = READERS.load(kind), size_of(file), state_of(file)
        for begin, end in parts(file, reader, c, 1e6 * c.shard_size):
            yield Piece(file, kind, begin, end, (whole if end is None else end) - begin, state), is_one_document(reader, c)
