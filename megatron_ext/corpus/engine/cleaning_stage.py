"""Stage `clean`: a job reads one shard of the input and puts its documents through the rules; what is kept and what is not."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.cleaning.steps import Cleaner, empty_tally
from megatron_ext.corpus.cleaning.tally import Tally
from megatron_ext.corpus.documents import Record, Reject, document, name_of, open_source, records, source_of
from megatron_ext.corpus.engine.local import StopAll
from megatron_ext.corpus.engine.parts import Lines, Parts, Rejects
from megatron_ext.corpus.engine.shards import Piece, Shard
from megatron_ext.corpus.engine.stages import Job, Stage
from megatron_ext.corpus.flags import READERS
from megatron_ext.corpus.inputs import is_one_document, state_of
from megatron_ext.corpus.readers import jsonl

CLEAN = "clean"


class CleaningStage(Stage):
    """Args: keys: of the jobs, one a shard; parts: where the documents go."""

    name = CLEAN

    def __init__(self, c: SimpleNamespace, shards: Sequence[Shard], keys: Sequence[str], parts: Parts):
        self.c, self.shards, self.parts, self.folder = c, shards, parts, pathlib.Path(c.output)
        self.rejects = Parts(self.folder / "rejects", c.output_compression)
        self.jobs = [Job(CLEAN, shard.number, key, shard.size, shard.where) for shard, key in zip(shards, keys)]

    def files(self, number: int) -> list[pathlib.Path]:
        return [self.parts.path(number), self.rejects.path(number)]

    def tally(self) -> Tally:
        return empty_tally(self.c)

    def worker(self) -> _Worker:
        return _Worker(self)


class _Worker:
    def __init__(self, stage: CleaningStage):
        self._stage, self._c = stage, stage.c
        self._cleaner = Cleaner(stage.c)

    def __call__(self, number: int) -> dict[str, Any]:
        self._cleaner.begin()
        with self._stage.parts.writer(number) as kept, self._stage.rejects.writer(number) as rejected:
            for piece in self._stage.shards[number].pieces:
                self._piece(piece, kept, Rejects(rejected, self._c))
                if not _is_as_found(piece):
                    raise UserError(f"{piece.file}: was changed while it was read; run again")
            self._cleaner.finish()
            for lines in (kept, rejected):
                lines.publish()
        reading = self._cleaner.tally.steps[0]
        return {"text": reading.bytes, "documents": reading.documents, "tally": self._cleaner.tally.as_dict()}

    def _piece(self, piece: Piece, kept: Lines, rejects: Rejects) -> None:
        reader = READERS.load(piece.format)
        try:
            with open_source(piece.file, reader, piece.begin, piece.end) as source:
                for record in records(source, reader, None, self._c, needed=(self._c.text_key,)):
                    self._record(record, reader, kept, rejects)
        except StopAll:
            raise
        except UserError as error:
            if not is_one_document(reader, self._c) or not _is_as_found(piece):
                raise
            told = str(error).removeprefix(f"{piece.file}: ")
            self._refuse(Record(piece.file, 1, None), reader, Reject("damaged", told), rejects)

    def _record(self, record: Record, reader: ModuleType, kept: Lines, rejects: Rejects) -> None:
        try:
            found = document(record, reader, self._c.text_key, source_of(record.file, self._c))
        except Reject as reject:
            self._refuse(record, reader, reject, rejects)
            return
        dropped = self._cleaner(found)
        if dropped is None:
            kept.put(found, record, record.payload if reader is jsonl else None)
        else:
            rejects.write(found.id, found.source, dropped, found.text, record)

    def _refuse(self, record: Record, reader: ModuleType, reject: Reject, rejects: Rejects) -> None:
        """What is no document."""
        source = source_of(record.file, self._c) or name_of(reader)
        rejects.write(record.id, source, self._cleaner.reject(record.id, source, reject), None, record)


def _is_as_found(piece: Piece) -> bool:
    try:
        return state_of(piece.file) == piece.state
    except OSError:
        return False
