"""What is done between updates to keep memory in hand: Python's garbage, and what the GPU's allocator keeps unused.

`--manual-gc`: Python collects garbage whenever its counters say so, on every process at another moment, and each time all
others wait. Then it is collected only every `--manual-gc-interval` updates, everywhere at once.
`--empty-unused-memory-level`: 1 after forward and backward, 2 after the update too.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def garbage_by_hand(training) -> Iterator[None]:
    """Inside, garbage is collected by `collect` alone where that was asked for."""
    if training.manual_gc:
        gc.disable()
        gc.collect()
    try:
        yield
    finally:
        if training.manual_gc:
            gc.enable()


def collect(training, iteration: int) -> None:
    """Collect garbage if it is due after this update."""
    if training.manual_gc and training.manual_gc_interval and iteration % training.manual_gc_interval == 0:
        gc.collect()


def give_back(parallel, level: int) -> None:
    """Give unused memory of the GPU back to it, at this point of an update (1 or 2)."""
    if parallel.empty_unused_memory_level >= level:
        torch.cuda.empty_cache()
