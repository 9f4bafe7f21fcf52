"""Learning-rate schedules, one file each; a file offers `rate(position, way)` for the time after the warm-up.

`learning_rate` puts the pieces together: linear warm-up from `--lr-warmup-init` to the peak, then the file's way down.
A position counts updates (the first is 1) or, with `--lr-decay-samples`, `--lr-warmup-samples` or a growing batch, samples.
"""

from __future__ import annotations

from typing import NamedTuple

from megatron_ext.arguments.registry import Registry

SCHEDULES = Registry("megatron_ext.optim.schedules")


class Way(NamedTuple):
    """What a schedule goes by: where warm-up and decay end, from which rate and to which."""

    warmup: int
    decay: int
    peak: float
    least: float

    def progress(self, position: float) -> float:
        """0 at the end of the warm-up, 1 from the end of the decay on."""
        return 1.0 if position >= self.decay else (position - self.warmup) / (self.decay - self.warmup)

    def between(self, remaining: float) -> float:
        """The peak at 1, the least rate at 0."""
        return self.least + (self.peak - self.least) * remaining


def in_samples(flags, batch_grows: bool) -> bool:
    """Whether positions count samples: asked for, or the only fair measure while the batch grows."""
    if flags.lr_decay_samples is not None or flags.lr_warmup_samples is not None:
        return True
    return batch_grows and flags.lr_decay_iters is None and flags.lr_warmup_iters is None


def way(flags, end: int, samples: bool = False) -> Way:
    """The way of a run that is `end` updates (or samples) long: as given, or by the defaults."""
    decay = (flags.lr_decay_samples if samples else flags.lr_decay_iters) or end
    warmup = flags.lr_warmup_samples if samples else flags.lr_warmup_iters
    if warmup is None:  # a fraction, at least one step of a fraction above 0
        warmup = max(int(flags.lr_warmup_fraction * decay), 1 if flags.lr_warmup_fraction > 0 else 0)
    return Way(warmup, decay, flags.lr, flags.min_lr)


def decoupled(flags, way: Way) -> Way | None:
    """The way of the embedding and the output matrix, where they have one of their own."""
    return None if flags.decoupled_lr is None else way._replace(peak=flags.decoupled_lr, least=flags.decoupled_min_lr)


def learning_rate(position: int, flags, way: Way) -> float:
    """The learning rate at a position."""
    if position <= way.warmup:
        return flags.lr_warmup_init + (way.peak - flags.lr_warmup_init) * position / way.warmup
    return SCHEDULES.load(flags.lr_decay_style).rate(position, way)
