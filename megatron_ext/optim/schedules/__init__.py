"""Learning-rate decays, one file each; a file offers `remaining(progress)`: 1 at progress 0, 0 at progress 1.

`learning_rate` puts the pieces together: linear warm-up, then the decay from lr to min_lr, then min_lr.
"""

from __future__ import annotations

from megatron_ext.arguments.registry import Registry

SCHEDULES = Registry("megatron_ext.optim.schedules")


def warmup_iters(flags, decay_iters: int) -> int:
    """Steps of warm-up: given, or a fraction of the decay (at least one step of a fraction above 0)."""
    if flags.lr_warmup_iters is not None:
        return flags.lr_warmup_iters
    return max(int(flags.lr_warmup_fraction * decay_iters), 1 if flags.lr_warmup_fraction > 0 else 0)


def learning_rate(step: int, flags, decay_iters: int) -> float:
    """The learning rate of update `step` (the first is 1) when the decay ends at `decay_iters`."""
    warmup = warmup_iters(flags, decay_iters)
    if step <= warmup:
        return flags.lr * step / warmup
    if step >= decay_iters:
        progress = 1.0
    else:
        progress = (step - warmup) / (decay_iters - warmup)
    remaining = SCHEDULES.load(flags.lr_decay_style).remaining(progress)
    return flags.min_lr + (flags.lr - flags.min_lr) * remaining
