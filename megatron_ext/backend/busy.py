"""How long a process is busy itself during an update, waiting for others left out: what tells a slow one from those it holds up.

On a CPU: wall time less the time blocked in collectives and receives. gloo works in threads of its own, so all waiting, and
moving the data, happens in one call (`backend/cpu.py` times it), and the slow process is told apart in every layout.

On a GPU: device time of this stage's forward passes, between two events, fetching the batch included, as Megatron-LM's
straggler detector has it. Tensor-parallel peers wait for each other inside it, so a slow one shows as its whole group.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import torch

from megatron_ext.backend import cpu


class BusyClock:
    """One a process: `start`, then `forward` around each forward pass, then `seconds`, once for every update."""

    def __init__(self, device: torch.device):
        self._cuda = device.type == "cuda"
        self.start()

    def start(self) -> None:
        self._began, self._waited = time.perf_counter(), cpu.waiting.seconds
        self._events: list[tuple] = []

    @contextlib.contextmanager
    def forward(self) -> Iterator[None]:
        if not self._cuda:
            yield
            return
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        yield
        last.record()
        self._events.append((first, last))

    def seconds(self) -> float:
        """Since `start`. On a GPU everything that was launched must be done."""
        if self._cuda:
            return sum(first.elapsed_time(last) for first, last in self._events) / 1000
        return time.perf_counter() - self._began - (cpu.waiting.seconds - self._waited)
