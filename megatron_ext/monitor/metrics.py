"""The one schema of what is measured: a record each log interval, the same for console, metrics.jsonl and TensorBoard."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Record:
    """A stretch of updates, as one line.

    Attributes:
        iteration: the last update of the stretch.
        loss: mean over the stretch, nats a token; NaN if any of them is.
        grad_norm: of the last update, before clipping.
        learning_rate: of the last update.
        global_batch_size: samples in the last update.
        consumed_samples, consumed_tokens: since the beginning of the run.
        tokens_per_second: over the stretch, all processes together, evaluation and saving left out.
        flops_per_second: model FLOPs (planner/flops.py), all processes together.
        flops_share: of the peak: this machine's measured GEMM rate, or the GPU's datasheet.
        memory_bytes: resident (CPU) or peak allocated (GPU) memory of rank 0.
        skipped: updates not applied so far, since the gradient was not finite.
        loss_scale: in fp16, of the last update.
        padding_share: of the places of the stretch's samples, where an objective packs documents into them.
        busy_seconds_min, busy_seconds_median, busy_seconds_max: of an update, over the processes, without waiting for others
            (backend/busy.py); left out, like the next, where there is one process.
        slowest_rank, slowest_factor: the process that is slowest for its work, and by which factor (monitor/straggler.py).
        expert_load_max, expert_load_min, dropped_share, router_entropy, router_loss, expert_load: of a mixture of experts
            (models/moe/statistics.py).
        mtp_loss: nats a token of multi-token prediction.
        z_loss: what the z-loss adds, a token; `loss` is without it.
        words_loss, sentence_loss: what `loss` consists of where an encoder learns of sentences; sentence_accuracy: how many of
            these were right.
        eval_loss, eval_bits_per_byte: on the validation data, where evaluated.
        eval_sets: with `--multiple-validation-sets`, `loss` and `bits_per_byte` of each set by its name.
        test_loss, test_bits_per_byte, test_sets: the same on the test data, after the last update.
    """

    iteration: int
    loss: float
    grad_norm: float
    learning_rate: float
    global_batch_size: int
    consumed_samples: int
    consumed_tokens: int
    tokens_per_second: float
    flops_per_second: float
    flops_share: float
    memory_bytes: int
    skipped: int
    loss_scale: float | None = None
    padding_share: float | None = None
    busy_seconds_min: float | None = None
    busy_seconds_median: float | None = None
    busy_seconds_max: float | None = None
    slowest_rank: int | None = None
    slowest_factor: float | None = None
    expert_load_max: float | None = None
    expert_load_min: float | None = None
    dropped_share: float | None = None
    router_entropy: float | None = None
    router_loss: float | None = None
    expert_load: dict[str, list[float]] | None = None
    mtp_loss: float | None = None
    z_loss: float | None = None
    words_loss: float | None = None
    sentence_loss: float | None = None
    sentence_accuracy: float | None = None
    eval_loss: float | None = None
    eval_bits_per_byte: float | None = None
    eval_sets: dict[str, dict[str, float]] | None = None
    test_loss: float | None = None
    test_bits_per_byte: float | None = None
    test_sets: dict[str, dict[str, float]] | None = None

    @classmethod
    def of(cls, values: dict) -> Record | None:
        """What `as_dict` gave; None where another version of this project wrote other fields."""
        try:
            return cls(**values)
        except TypeError:
            return None

    def as_dict(self) -> dict:
        """What is there, without the fields that were not measured."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
