"""Flags of what a run shows (Megatron-LM's names)."""

from __future__ import annotations

from megatron_ext.arguments.flags import flag, flag_group


@flag_group("monitor", "What a run shows")
class MonitorFlags:
    log_interval: int = flag(10, "updates between console lines and records in metrics.jsonl", least=1, front=True)
    tensorboard_dir: str | None = flag(None, "folder for TensorBoard's event files")
