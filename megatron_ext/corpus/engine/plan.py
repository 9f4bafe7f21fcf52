"""What a run will do: the shards of its input and the stages that they go through, the same wherever it is asked for."""

from __future__ import annotations

import pathlib
from types import SimpleNamespace

from megatron_ext.arguments.config import Config
from megatron_ext.corpus.engine.cleaning_stage import CleaningStage
from megatron_ext.corpus.engine.keys import key_of
from megatron_ext.corpus.engine.parts import Parts
from megatron_ext.corpus.engine.shards import cut
from megatron_ext.corpus.engine.stages import Stage


class Plan:
    """Attributes: c: the flat configuration; folder; shards; stages: by name, in order."""

    def __init__(self, config: Config):
        self.c = SimpleNamespace(**config.flat())
        self.folder = pathlib.Path(self.c.output)
        self.shards = list(cut(self.c))
        keys = [key_of(config, shard) for shard in self.shards]
        stages: list[Stage] = [CleaningStage(self.c, self.shards, keys, Parts(self.folder, self.c.output_compression))]
        self.stages = {stage.name: stage for stage in stages}
