"""Deals samples out into micro-batches, and reads them before they are needed. `--num-workers`

Global batch k holds samples k·B to (k + 1)·B − 1, dealt out over micro-batches and processes. So the set of samples in a
global batch depends neither on the micro-batch size nor on the number of processes; nor does the gradient.

A process's micro-batches begin at equal distances, whatever the global batch. So which come next is known, and threads read
them ahead. As a sample is a function of its number alone, a wrong guess costs a read and changes nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from megatron_ext.data.samples import Samples

_AHEAD = 2  # micro-batches a worker

Read = torch.Tensor | dict[str, torch.Tensor]
"""A micro-batch: of samples that are one array, or several by name."""


class Loader:
    """One process's part of the samples.

    Args:
        workers: threads that read ahead; 0 reads when asked.
        micro_batch_size: samples in a micro-batch.
        rank, ranks: this one of the data-parallel processes.
        device: where batches are needed; for a GPU they are put into pinned memory.
    """

    def __init__(self, workers: int, micro_batch_size: int, rank: int, ranks: int, device: torch.device | None = None):
        self.micro_batch_size, self.rank, self.ranks = micro_batch_size, rank, ranks
        self._pin = device if device is not None and device.type == "cuda" else None
        self._ahead = _AHEAD * workers
        self._pending: dict[Samples, dict[int, Future]] = {}
        self._threads = None
        if workers:
            choose = functools.partial(torch.cuda.set_device, self._pin) if self._pin else None
            self._threads = ThreadPoolExecutor(workers, "samples", initializer=choose)

    def batches(self, samples: Samples, first: int, count: int) -> Iterator[Read]:
        """The `count` micro-batches of the global batch that begins at sample `first`, stacked: `[b, …]`."""
        for number in range(count):
            yield self._take(samples, first + (number * self.ranks + self.rank) * self.micro_batch_size)

    def _take(self, samples: Samples, begin: int) -> Read:
        if self._threads is None:
            return self._read(samples, begin)
        pending = self._pending.setdefault(samples, {})
        wanted = range(begin, begin + (self._ahead + 1) * self._step, self._step)
        for wrong in pending.keys() - set(wanted):
            pending.pop(wrong).cancel()
        for number in wanted:
            if number not in pending:
                pending[number] = self._threads.submit(self._read, samples, number)
        return pending.pop(begin).result()

    @property
    def _step(self) -> int:
        return self.ranks * self.micro_batch_size

    def _read(self, samples: Samples, begin: int) -> Read:
        found = [samples[begin + i] for i in range(self.micro_batch_size)]
        if isinstance(found[0], dict):
            return {name: self._stacked([each[name] for each in found]) for name in found[0]}
        return self._stacked(found)

    def _stacked(self, arrays: list[np.ndarray]) -> torch.Tensor:
        batch = torch.from_numpy(np.stack(arrays))
        return batch.pin_memory() if self._pin else batch

    def close(self) -> None:
        """Stop reading; returns when no thread is left. May be called again."""
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *error) -> None:
        self.close()
