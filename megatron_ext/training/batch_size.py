"""How many samples an update trains on: `--global-batch-size`, grown into by `--rampup-batch-size START INCREMENT SAMPLES`.

Over the first SAMPLES samples the batch grows from START to the global batch size in equal shares of them, INCREMENT at a
time (GPT-3's grew from 32 thousand to 3.2 million tokens, arXiv:2005.14165):

    size(n) = START + INCREMENT · ⌊n · steps / SAMPLES⌋,  steps = (global batch size − START) / INCREMENT

where n samples were consumed before the update. A pure function of n, so a run that goes on needs no state for it.
"""

from __future__ import annotations

from collections.abc import Iterator


def batch_size(training, consumed_samples: int) -> int:
    """Samples in the update that follows on `consumed_samples`; `training` is the group of flags."""
    if training.rampup_batch_size is None:
        return training.global_batch_size
    start, increment, samples = training.rampup_batch_size
    steps = (training.global_batch_size - start) // increment
    return start + increment * min(consumed_samples * steps // samples, steps)


def sizes(training) -> list[int]:
    """Every batch size of a run that is long enough, in order."""
    if training.rampup_batch_size is None:
        return [training.global_batch_size]
    start, increment, _ = training.rampup_batch_size
    return list(range(start, training.global_batch_size + 1, increment))


def updates_for(training, samples: int) -> int:
    """Updates until so many samples are consumed; the last one may go beyond."""
    done = 0
    for size, updates in _growth(training):
        if samples <= size * updates:
            return done + -(-samples // size)
        done, samples = done + updates, samples - size * updates
    return done + -(-samples // training.global_batch_size)


def samples_in(training, updates: int) -> int:
    """Samples that the first `updates` updates consume."""
    consumed = 0
    for size, count in _growth(training):
        if updates <= count:
            return consumed + updates * size
        consumed, updates = consumed + count * size, updates - count
    return consumed + updates * training.global_batch_size


def _growth(training) -> Iterator[tuple[int, int]]:
    """`(size, updates of that size)` while the batch still grows. A size that no update meets is left out."""
    consumed = 0
    while (size := batch_size(training, consumed)) < training.global_batch_size:
        start, increment, samples = training.rampup_batch_size
        steps, number = (training.global_batch_size - start) // increment, (size - start) // increment
        ends_at = -(-(number + 1) * samples // steps)  # the first count of samples that asks for the next size
        updates = -(-(ends_at - consumed) // size)
        yield size, updates
        consumed += size * updates
