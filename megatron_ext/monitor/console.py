"""The console: one line a record, so that a person sees that the model learns, how fast, and until when."""

from __future__ import annotations

import math
import time

from megatron_ext.monitor.metrics import Record
from megatron_ext.monitor.straggler import SLOW


class Console:
    """Args: total_iters: of the run; peak: what the share of FLOP/s is a share of, in words; batch: samples in a full one."""

    def __init__(self, total_iters: int, peak: str, batch: int):
        self.name = "stdout"
        self.total, self.peak, self.batch = total_iters, peak, batch
        self._last: tuple[int, float] | None = None

    def started(self, iteration: int) -> None:
        self._last = (iteration, time.monotonic())

    def write(self, record: Record) -> None:
        print(line(record, self.total, self.peak, self._seconds_left(record.iteration), self.batch), flush=True)

    replace_last = write

    def _seconds_left(self, iteration: int) -> float:
        """By wall time since the last line, evaluation and saving included."""
        now, (before, then) = time.monotonic(), self._last
        self._last = (iteration, now)
        return (self.total - iteration) * (now - then) / max(iteration - before, 1)

    def close(self) -> None:
        """Nothing to close."""


def line(record: Record, total: int, peak: str, seconds_left: float, batch: int | None = None) -> str:
    """A record as text. The batch size is shown while it is not yet the full `batch`."""
    width = len(str(total))
    parts = [
        f"iter {record.iteration:>{width}}/{total} {100 * record.iteration / total:5.1f}%",
        f"loss {record.loss:.4f}" + ("" if math.isfinite(record.loss) else " (not finite)"),
        f"grad {record.grad_norm:.3f}",
        f"lr {record.learning_rate:.2e}",
        f"{amount(record.tokens_per_second)}tok/s",
        f"{amount(record.flops_per_second)}FLOP/s ({100 * record.flops_share:.0f}% of {peak})",
        f"{record.memory_bytes / 2**30:.2f} GiB",
        f"ETA {duration(seconds_left)}",
    ]
    if batch is not None and record.global_batch_size != batch:
        parts.append(f"batch {record.global_batch_size}")
    if record.loss_scale is not None:
        parts.append(f"scale {record.loss_scale:g}")
    if record.padding_share is not None:
        parts.append(f"padding {100 * record.padding_share:.1f}%")
    if record.skipped:
        parts.append(f"skipped {record.skipped}")
    if record.slowest_factor is not None and record.slowest_factor > SLOW:
        parts.append(f"rank {record.slowest_rank} slow: {record.slowest_factor:.1f}× the median")
    if record.mtp_loss is not None:
        parts.append(f"further {record.mtp_loss:.4f}")
    if record.z_loss is not None:
        parts.append(f"z {record.z_loss:.1e}")
    if record.sentence_accuracy is not None:  # none was asked otherwise
        right = f"{100 * record.sentence_accuracy:.0f}% right"
        parts.append(f"words {record.words_loss:.4f}, sentences {record.sentence_loss:.4f} ({right})")
    if record.expert_load_max is not None:
        parts.append(f"experts {record.expert_load_min:.2f} to {record.expert_load_max:.2f}× even")
    if record.dropped_share:
        parts.append(f"dropped {100 * record.dropped_share:.1f}%")
    for what in ("eval", "test"):
        measures = {"loss": getattr(record, f"{what}_loss"), "bits_per_byte": getattr(record, f"{what}_bits_per_byte")}
        if measures["loss"] is not None:
            parts.append(f"{what} {_measured(measures)}")
        sets = getattr(record, f"{what}_sets") or {}
        parts += [f"{what} {name} {_measured(measures)}" for name, measures in sets.items()]
    return " | ".join(parts)


def _measured(measures: dict[str, float]) -> str:
    bits = measures.get("bits_per_byte")
    return f"{measures['loss']:.4f}" + ("" if bits is None else f" ({bits:.3f} bits/byte)")


def amount(value: float) -> str:
    """12345.0 → `12.3 k`."""
    for size, unit in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.1f} "


def duration(seconds: float) -> str:
    """Hours, minutes and seconds: `1:02:03`."""
    minutes, second = divmod(int(round(seconds)), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02d}:{second:02d}" if hour else f"{minute}:{second:02d}"
