"""What a run will do: the shards of its input and the stages that they go through, the same wherever it is asked for."""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Sequence
from types import SimpleNamespace

from megatron_ext.arguments.config import Config
from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus import urls
from megatron_ext.corpus.engine.cleaning_stage import CLEAN, CleaningStage
from megatron_ext.corpus.engine.keys import digest, keys_of, said
from megatron_ext.corpus.engine.parts import Parts
from megatron_ext.corpus.engine.shards import Shard, cut
from megatron_ext.corpus.engine.stages import Stage
from megatron_ext.corpus.flags import READERS
from megatron_ext.corpus.inputs import format_of, size_of, state_of
from megatron_ext.corpus.matching.before import Before, Seen
from megatron_ext.corpus.matching.flags import WAYS, files_of
from megatron_ext.corpus.sources import COMPRESSED

_SHARED = ("dedup_priority", "dedup_ignore", "dedup_min_left", "output_compression", "rejects_with_text", "text_key")
"""Flags on which results depend, whatever the way."""


MUCH = 4
"""Times --shard-size, from which a shard is told to be large."""


class Plan:
    """Attributes: c: the flat configuration; folder; work: below it, for what lies between stages; shards; stages: by name, in
    order; writes: the one that writes the corpus; warnings: what a person should know before the work begins."""

    def __init__(self, config: Config):
        self.c = SimpleNamespace(**config.flat())
        self.folder = pathlib.Path(self.c.output)
        self.work = self.folder / "work"
        self.shards = list(cut(self.c))
        if not self.shards:
            raise UserError(f"--input: all that it matches lies in --output {self.folder}, where runs write; name other files")
        self.warnings = [_told(shard, self.c) for shard in self.shards if shard.size > MUCH * 1e6 * self.c.shard_size]
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
            if not urls.is_url(file) and f"{real(os.path.dirname(file))}/".startswith(f"{output}/"):
                raise UserError(f"{file}: lies in --output {self.folder}, where a run writes over files; name another folder")

    def _parts(self, stage: str, last: bool) -> Parts:
        folder = self.folder if last else self.work / stage
        return Parts(folder, self.c.output_compression, self.c.text_key, between=not last)


def _told(shard: Shard, c: SimpleNamespace) -> str:
    """That a shard is large. How a compressed file could be cut is known once it was read: too late for shards that have numbers,
    keys and workers before that, so it stays one."""
    file = shard.pieces[0].file
    packed = urls.name_of(file).lower().endswith(COMPRESSED)
    why = "a compressed file is not cut" if packed else "it is not cut smaller than its format allows"
    holds = ", which holds in memory what --dedup knows of it" if c.dedup else ""
    way_out = f"give it {'uncompressed or ' if packed else ''}in several files for more at once"
    return f"{file}: {shard.size / 1e6:,.1f} MB of it are one shard, as {why}: one worker does it alone{holds}; {way_out}"


def _seen(file: str) -> Seen:
    return Seen(file, format_of(file, READERS), size_of(file), state_of(file))
