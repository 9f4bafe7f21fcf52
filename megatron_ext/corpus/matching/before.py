"""What a way of `dedup/` starts from: the documents that the stage before it kept, and those of `--dedup-against`."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Collection, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.documents import Document, Reject, document, open_source, records
from megatron_ext.corpus.engine.keys import digest
from megatron_ext.corpus.engine.parts import Parts
from megatron_ext.corpus.engine.stages import Stage
from megatron_ext.corpus.flags import READERS, InputFlags
from megatron_ext.corpus.inputs import state_of


@dataclasses.dataclass(frozen=True)
class Seen:
    """A file whose documents count as seen, and are not written again. Attributes: state: another word once it was written to."""

    file: str
    format: str
    size: int
    state: str


@dataclasses.dataclass(frozen=True)
class Before:
    """Attributes:
    c: the flat configuration; way: its name; values: names and values of the flags that its results depend on.
    folder: the run's; work: this way's own, for what lies between its stages.
    stage: which wrote the documents, and `parts` where they are; seen: --dedup-against.
    """

    c: SimpleNamespace
    way: str
    values: Sequence[tuple[str, str]]
    folder: pathlib.Path
    work: pathlib.Path
    stage: Stage
    parts: Parts
    seen: Sequence[Seen]

    @property
    def shards(self) -> int:
        """Those that are compared: the corpus' own, and behind them the files of --dedup-against."""
        return len(self.stage.jobs) + len(self.seen)

    @property
    def text(self) -> float:
        """Bytes of text in all of them, about, and rather more: what is compressed is four times as much."""
        return 4.0 * sum(map(self.size, range(self.shards)))

    @property
    def documents(self) -> float:
        """How many there are, about, and rather more."""
        return self.text / 500

    def key(self, stage: str, shard: int) -> str:
        """Of a job that looks at one shard alone."""
        own = len(self.stage.jobs)
        content = self.stage.jobs[shard].key if shard < own else dataclasses.astuple(self.seen[shard - own])
        return digest(stage, self.values, content)

    def size(self, shard: int) -> int:
        own = len(self.stage.jobs)
        return self.stage.jobs[shard].size if shard < own else self.seen[shard - own].size

    def where(self, shard: int) -> str:
        own = len(self.stage.jobs)
        return self.stage.jobs[shard].where if shard < own else self.seen[shard - own].file

    def read(self, shard: int) -> Iterator[tuple[bytes | None, Document]]:
        """The documents of a shard, in order, and their lines, where they have some."""
        yield from self._read_seen(shard) if self.is_seen(shard) else self.parts.read(shard)

    def some(self, shard: int, wanted: Collection[int]) -> Iterator[tuple[int, Document]]:
        """Those of these numbers in the shard, in order. No other is looked into, and nothing is read behind the last."""
        last = max(wanted, default=-1)
        documents = self._read_seen(shard) if self.is_seen(shard) else ((line, None) for line in self.parts.lines(shard))
        for index, (line, found) in enumerate(documents if wanted else ()):
            if index in wanted:
                yield index, found or self.parts.document(line)
            if index == last:
                break

    def _read_seen(self, shard: int) -> Iterator[tuple[None, Document]]:
        """Of a file of --dedup-against. What is no document there is passed over; UserError where nothing in it is one, as with
        another key of the text."""
        own = len(self.stage.jobs)
        seen = self.seen[shard - own]
        reader: Any = READERS.load(seen.format)
        documents, reject = 0, None
        with open_source(seen.file, reader) as source:
            for record in records(source, reader, None, InputFlags(), needed=(self.c.text_key,)):
                try:
                    found = document(record, reader, self.c.text_key)
                except Reject as error:
                    reject = reject or error
                    continue
                documents += 1
                yield None, found
        if state_of(seen.file) != seen.state:
            raise UserError(f"{seen.file}: was changed while it was read; run again")
        if reject is not None and not documents:
            told = f"--dedup-against {seen.file}: holds no document to compare with (of the first record: {reject})"
            raise UserError(f"{told}; its text must be under --text-key {self.c.text_key}, as the input's is, or leave it out")

    def is_seen(self, shard: int) -> bool:
        return shard >= len(self.stage.jobs)
