"""A function over a stream of items, in other processes, the results in the items' order; a dead worker ends it at once.

Reason for own code, beside concurrent.futures: its processes share one pipe for results, so a worker that is killed while
it writes leaves the others' reader waiting for ever for the rest of a message. Here each worker has a pipe that nobody
else writes to: its death is an end of file, noticed at once and named. Workers whose parent is gone see the same and end.
"""

from __future__ import annotations

import collections
import contextlib
import multiprocessing
import queue
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from megatron_ext.arguments.problems import UserError

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


class _Worker:
    """A process and this side of its pipe."""

    def __init__(self, number: int, make: Callable, arguments: tuple):
        context = multiprocessing.get_context("spawn")  # a fork would copy locks that threads hold
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, make, arguments), name=f"worker {number}", daemon=True)
        self.process.start()
        other.close()

    def death(self) -> str:
        self.process.join(5)
        code = self.process.exitcode
        cause = f"was killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with status {code}"
        hint = ", which is what happens when memory runs out" if code == -signal.SIGKILL else ""
        return f"{self.process.name} (process {self.process.pid}) {cause}{hint}; nothing was written"


class _Pool:
    def __init__(self, make: Callable, arguments: tuple, workers: int):
        self._lock, self._failure = threading.Lock(), None
        self._idle: queue.SimpleQueue = queue.SimpleQueue()
        self._workers: list[_Worker] = []
        try:
            with _interrupts_ignored():
                for number in range(workers):
                    self._workers.append(_Worker(number, make, arguments))
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

    def _lost(self, worker: _Worker) -> str:
        """What to say of a worker's death. The first one ends the others, which is not worth a word."""
        with self._lock:
            if self._failure is None:
                self._failure = worker.death()
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


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes started here ignore Ctrl-C, which reaches them too: this process tells them to end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _serve(pipe: Any, make: Callable, arguments: tuple) -> None:
    """A worker's life: items in, results out, until the other side closes the pipe."""
    work = failure = None
    try:
        work = make(*arguments)
    except Exception as error:
        failure = _sendable(error)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            item = pipe.recv()
            try:
                answer = failure or (None, work(item))
            except Exception as error:
                answer = _sendable(error)
            pipe.send(answer)


def _sendable(error: Exception) -> tuple[Exception, str]:
    known = error if isinstance(error, UserError) else RuntimeError(str(error))
    return known, "".join(traceback.format_exception(error))
