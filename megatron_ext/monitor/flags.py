"""Flags of what a run shows (Megatron-LM's names)."""

from __future__ import annotations

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem


@flag_group("monitor", "What a run shows")
class MonitorFlags:
    log_interval: int = flag(10, "updates between console lines and records in metrics.jsonl", least=1, front=True)
    tensorboard_dir: str | None = flag(None, "folder for TensorBoard's event files")
    profile: bool = flag(False, "write a Chrome trace of some updates into the run's folder")
    profile_step_start: int = flag(10, "updates done before the trace begins", least=0)
    profile_step_end: int = flag(12, "updates done when the trace ends", least=1)
    profile_ranks: tuple[int, ...] = flag((0,), "processes that write a trace", least=0)

    @staticmethod
    def check(c):
        asked = [name for name in ("profile_step_start", "profile_step_end", "profile_ranks") if name in c.typed]
        if asked and not c.profile:
            option = "--" + asked[0].replace("_", "-")
            yield Problem(option, None, "has no effect without --profile", "give --profile or leave it out")
        if not c.profile:
            return
        if c.save is None:
            yield Problem("--profile", None, "writes into the run's folder, and there is none", "add --save FOLDER")
        if c.profile_step_end <= c.profile_step_start:
            yield Problem("--profile-step-end", c.profile_step_end, f"is not above --profile-step-start {c.profile_step_start}")
        if "profile_ranks" in c.typed and max(c.profile_ranks) >= c.world_size:
            yield Problem("--profile-ranks", max(c.profile_ranks), f"is no process of this run, which has {c.world_size}")
