"""Flags of checkpoints (Megatron-LM's names)."""

from __future__ import annotations

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem


@flag_group("checkpoint", "Saving and resuming")
class CheckpointFlags:
    save: str | None = flag(None, "the run's folder: checkpoints, run.yaml, metrics.jsonl; a run found there goes on", front=True)
    load: str | None = flag(None, "a folder to start from while --save has no checkpoint yet")
    save_interval: int | None = flag(None, "updates between checkpoints [only at the end]", least=1, front=True)

    @staticmethod
    def check(c):
        if c.save_interval is not None and c.save is None:
            yield Problem("--save-interval", c.save_interval, "needs a folder", "add --save FOLDER")
