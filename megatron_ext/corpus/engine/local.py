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
    """Yield each item as it is done, in the order in which that happens.

    Args:
        make: called once in each worker; it and `arguments` must be picklable. What it gives is called with an item.
        workers: processes.
    """
    waiting = collections.deque(items)
    deaths: collections.Counter = collections.Counter()
    at_work: dict[Any, tuple[Worker, Hashable]] = {}  # by pipe
    idle = [_start(number, make, arguments) for number in range(min(workers, len(waiting)))]
    started = len(idle)
    try:
        while waiting or at_work:
            while waiting and idle:
                worker, item = idle.pop(), waiting.popleft()
                at_work[worker.pipe] = (worker, item)
                _send(worker, item)
            for pipe in multiprocessing.connection.wait(list(at_work)):
                worker, item = at_work.pop(pipe)
                try:
                    error, result = pipe.recv()
                except (EOFError, OSError):
                    deaths[item] += 1
                    if deaths[item] < attempts:
                        waiting.appendleft(item)
                    else:
                        times = f"{deaths[item]} workers died of it, the last: " if deaths[item] > 1 else ""
                        yield Done(item, failure=times + worker.death())
                    worker.end()
                    if waiting:
                        idle.append(_start(started, make, arguments))
                        started += 1
                    continue
                idle.append(worker)
                if isinstance(error, StopAll):
                    raise error
                if error is None or isinstance(error, UserError):
                    yield Done(item, result, None if error is None else str(error))
                else:
                    raise RuntimeError(f"in {worker.process.name}: {result}")
        for worker in idle:
            worker.end()
    finally:
        for worker in [*idle, *(worker for worker, _ in at_work.values())]:
            worker.process.kill()
            worker.process.join()


def _start(number: int, make: Callable, arguments: tuple) -> Worker:
    with signals_deferred():
        return Worker(number, make, arguments)


def _send(worker: Worker, item: Hashable) -> None:
    try:
        worker.pipe.send(item)
    except OSError:
        pass  # it has died: its pipe says so when it is read
