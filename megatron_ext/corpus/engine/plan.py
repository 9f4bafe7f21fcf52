"""What a run will do: the shards of its input and the stages that they go through, the same wherever it is asked for."""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Sequence
from types import SimpleNamespace

from megatron_ext.arguments.config import Config
from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.engine.cleaning_stage import CLEAN, CleaningStage
from megatron_ext.corpus.engine.keys import digest, keys_of, said
from megatron_ext.corpus.engine.parts import Parts
from megatron_ext.corpus.engine.shards import cut
from megatron_ext.corpus.engine.stages import Stage
from megatron_ext.corpus.flags import READERS
from megatron_ext.corpus.inputs import format_of, size_of, state_of
from megatron_ext.corpus.matching.before import Before, Seen
from megatron_ext.corpus.matching.flags import WAYS, files_of
from megatron_ext.corpus.urls import is_url

_SHARED = ("dedup_priority", "dedup_ignore", "dedup_min_left", "output_compression", "rejects_with_text", "text_key")
"""Flags on which results depend, whatever the way."""


class Plan:
    """Attributes: c: the flat configuration; folder; work: below it, for what lies between stages; shards; stages: by name, in
    order; writes: the one that writes the corpus."""

    def __init__(self, config: Config):
        self.c = SimpleNamespace(**config.flat())
        self.folder = pathlib.Path(self.c.output)
        self.work = self.folder / "work"
        self.shards = list(cut(self.c))
        if not self.shards:
            raise UserError(f"--input: all that it matches lies in --output {self.folder}, where runs write; name other files")
        ways = list(self.c.dedup)
        keys = [digest(key, not ways) for key in keys_of(config, self.shards)]  # the last stage's files lie elsewhere
        parts = self._parts(CLEAN, last=not ways)
        self.writes: Stage = CleaningStage(self.c, self.shards, keys, parts)
        stages = [self.writes]
        seen = [_seen(file) for pattern in self.c.dedup_against for file in files_of(pattern)]
        self._keep_apart([*(piece.file for shard in self.shards for piece in shard.pieces), *(each.file for each in seen)])
        for way in ways:
            module, out = WAYS.load(way), self._parts(way, last=way == ways[-1])
            values = sorted(
                said({name: getattr(self.c, name) for name in _SHARED} | vars(getattr(config, module.Flags.group_name)))
            )
            before = Before(self.c, way, values, self.folder, self.work / way, self.writes, parts, seen)
            added, parts = module.stages(before, out), out
            stages += added
            self.writes = next(stage for stage in added if stage.name == way)
        self.stages = {stage.name: stage for stage in stages}

    def _keep_apart(self, files: Sequence[str]) -> None:
        """UserError: a file that is read lies where runs write, and remove what is not theirs."""
        output = os.path.realpath(self.folder)
        real = functools.cache(os.path.realpath)
        for file in [*files, *filter(None, [self.c.bloom_load])]:
            if not is_url(file) and f"{real(os.path.dirname(file))}/".startswith(f"{output}/"):
                raise UserError(f"{file}: lies in --output {self.folder}, where a run writes over files; name another folder")

    def _parts(self, stage: str, last: bool) -> Parts:
        folder = self.folder if last else self.work / stage
        return Parts(folder, self.c.output_compression, self.c.text_key, lasting=last)


def _seen(file: str) -> Seen:
    return Seen(file, format_of(file, READERS), size_of(file), state_of(file))
