"""Shards to worker processes of this machine, which are watched: one that dies is noticed at once, its shard done again.

A shard that ends its worker `attempts` times is set aside and named; so is one that cannot be read. The others are done. What
would fail for every shard (a full disk) stops all.
"""

from __future__ import annotations

import collections
import multiprocessing.connection
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, NamedTuple

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.engine.worker import Worker, signals_deferred


class StopAll(UserError):
    """What fails for one shard and would for every other."""


class Done(NamedTuple):
    """An item that was worked on: its result, or in words why it was set aside."""

    item: Hashable
    result: Any = None
    failure: str | None = None


def work(
    make: Callable[..., Callable], arguments: tuple, items: Iterable[Hashable], workers: int, attempts: int
) -> Iterator[Done]:
    """Yield each item as it is done, in the order in which that happens, by workers of its own."""
    with Workers(make, arguments, workers, attempts) as ours:
        yield from ours.work(items)


class Workers:
    """Processes that stay from one lot of items to the next; a context manager. They are started when there is work for them.

    Args:
        make: called once in each worker; it and `arguments` must be picklable. What it gives is called with an item.
        workers: processes, at most.
    """

    def __init__(self, make: Callable[..., Callable], arguments: tuple, workers: int, attempts: int):
        self._make, self._arguments, self._most, self._attempts = make, arguments, workers, attempts
        self._idle: list[Worker] = []
        self._at_work: dict[Any, tuple[Worker, Hashable]] = {}  # by pipe
        self._started = 0

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type | None, *error: Any) -> None:
        try:
            for worker in self._idle if kind is None else ():
                worker.end()
        finally:
            for worker in [*self._idle, *(worker for worker, _ in self._at_work.values())]:
                worker.process.kill()
                worker.process.join()

    def work(self, items: Iterable[Hashable]) -> Iterator[Done]:
        """Yield each item as it is done, in the order in which that happens."""
        waiting = collections.deque(items)
        deaths: collections.Counter = collections.Counter()
        while waiting or self._at_work:
            self._hand_out(waiting)
            for pipe in multiprocessing.connection.wait(list(self._at_work)):
                worker, item = self._at_work.pop(pipe)
                try:
                    error, result = pipe.recv()
                except (EOFError, OSError):
                    deaths[item] += 1
                    if deaths[item] < self._attempts:
                        waiting.appendleft(item)
                    else:
                        times = f"{deaths[item]} workers died of it, the last: " if deaths[item] > 1 else ""
                        yield Done(item, failure=times + worker.death())
                    worker.end()
                    continue
                self._idle.append(worker)
                if isinstance(error, StopAll):
                    raise error
                if error is None or isinstance(error, UserError):
                    yield Done(item, result, None if error is None else str(error))
                else:
                    raise RuntimeError(f"in {worker.process.name}: {result}")

    def _hand_out(self, waiting: collections.deque) -> None:
        """An item to each worker that has none; more workers, where items are left and fewer than may be are there."""
        while waiting and (self._idle or len(self._at_work) < self._most):
            worker = self._idle.pop() if self._idle else self._start()
            item = waiting.popleft()
            self._at_work[worker.pipe] = (worker, item)
            try:
                worker.pipe.send(item)
            except OSError:
                pass  # it has died: its pipe says so when it is read

    def _start(self) -> Worker:
        with signals_deferred():
            self._started += 1
            return Worker(self._started - 1, self._make, self._arguments)
