"""A function over a stream of items, in other processes, the results in the items' order; a dead worker ends it at once."""

from __future__ import annotations

import collections
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.engine.worker import Worker, signals_deferred

AHEAD = 2
"""Items a worker that are read, worked on or waiting to be taken, besides the one that is being taken."""


def ordered_map(make: Callable[..., Callable[[Any], Any]], arguments: tuple, items: Iterable[Any], workers: int) -> Iterator[Any]:
    """Yield `make(*arguments)(item)` for each item, in order.

    Args:
        make: called once in each worker; it and `arguments` must be picklable.
        workers: processes; with 1 the work is done in this one.
    """
    if workers == 1:
        yield from map(make(*arguments), items)
        return
    pool = _Pool(make, arguments, workers)
    window: collections.deque = collections.deque()
    with pool, ThreadPoolExecutor(workers) as threads:  # a thread a worker: it sends, waits and receives
        try:
            for item in items:
                window.append(threads.submit(pool.call, item))
                if len(window) > AHEAD * workers:
                    yield window.popleft().result()
            while window:
                yield window.popleft().result()
        except BaseException:
            pool.kill()  # so that threads which wait for a worker end
            threads.shutdown(wait=False, cancel_futures=True)
            raise


class _Pool:
    def __init__(self, make: Callable, arguments: tuple, workers: int):
        self._lock, self._failure = threading.Lock(), None
        self._idle: queue.SimpleQueue = queue.SimpleQueue()
        self._workers: list[Worker] = []
        try:
            with signals_deferred():
                for number in range(workers):
                    self._workers.append(Worker(number, make, arguments))
        except BaseException:
            self.kill()
            raise
        for worker in self._workers:
            self._idle.put(worker)

    def call(self, item: Any) -> Any:
        """Have an idle worker do the item. UserError: a worker died, this one or another."""
        worker = self._idle.get()
        try:
            worker.pipe.send(item)
            error, result = worker.pipe.recv()
        except (EOFError, OSError):
            raise UserError(self._lost(worker)) from None
        finally:
            self._idle.put(worker)
        if error is not None:
            raise error if isinstance(error, UserError) else RuntimeError(f"in {worker.process.name}: {result}")
        return result

    def _lost(self, worker: Worker) -> str:
        """What to say of a worker's death. The first one ends the others, which is not worth a word."""
        with self._lock:
            if self._failure is None:
                self._failure = f"{worker.death()}; nothing was written"
                self.kill()
            return self._failure

    def kill(self) -> None:
        for worker in self._workers:
            worker.process.kill()

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *error: Any) -> None:
        for worker in self._workers:
            worker.pipe.close()  # the worker reads an end of file and ends
        for worker in self._workers:
            worker.process.join(10)
            worker.process.kill()
