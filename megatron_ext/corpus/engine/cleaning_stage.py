"""Stage `clean`: a job reads one shard of the input and puts its documents through the rules; what is kept and what is not."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.cleaning.steps import Cleaner
from megatron_ext.corpus.documents import Reject, document, open_source, records
from megatron_ext.corpus.engine.parts import Parts, Rejects, line_of
from megatron_ext.corpus.engine.shards import Shard
from megatron_ext.corpus.engine.stages import Job, Stage
from megatron_ext.corpus.flags import READERS
from megatron_ext.corpus.inputs import state_of

CLEAN = "clean"


class CleaningStage(Stage):
    """Args: keys: of the jobs, one a shard; parts: where the documents go."""

    name = CLEAN

    def __init__(self, c: SimpleNamespace, shards: Sequence[Shard], keys: Sequence[str], parts: Parts):
        self.c, self.shards, self.parts, self.folder = c, shards, parts, pathlib.Path(c.output)
        self.jobs = [
            Job(CLEAN, shard.number, key, shard.size, f"{shard.file} ({shard.name})") for shard, key in zip(shards, keys)
        ]

    def worker(self) -> _Worker:
        return _Worker(self)


class _Worker:
    def __init__(self, stage: CleaningStage):
        self._stage, self._c = stage, stage.c
        self._rejects = Parts(stage.folder / "rejects", stage.c.output_compression)
        self._cleaner = Cleaner(stage.c)

    def __call__(self, number: int) -> dict[str, Any]:
        shard = self._stage.shards[number]
        self._cleaner.begin()
        with self._stage.parts.writer(number) as kept, self._rejects.writer(number) as rejected:
            self._clean(shard, kept, Rejects(rejected, self._c))
            if state_of(shard.file) != shard.state:
                raise UserError(f"{shard.file}: was changed while it was read; run again")
            self._cleaner.finish()
            for lines in (kept, rejected):
                lines.publish()
        reading = self._cleaner.tally.steps[0]
        return {"text": reading.bytes, "documents": reading.documents, "tally": self._cleaner.tally.as_dict()}

    def _clean(self, shard: Shard, kept: Any, rejects: Rejects) -> None:
        reader = READERS.load(shard.format)
        with open_source(shard.file, reader, shard.begin, shard.end) as source:
            for record in records(source, reader, None, self._c, needed=("text",)):
                try:
                    found = document(record, reader, source=self._c.source)
                except Reject as reject:
                    origin = self._c.source or shard.format
                    rejects.write(record.id, origin, self._cleaner.reject(record.id, origin, reject), record, None)
                    continue
                dropped = self._cleaner(found)
                if dropped is None:
                    kept.write(line_of(found, record))
                else:
                    rejects.write(found.id, found.source, dropped, record, found.text)
