"""A worker process: items in, answers out, through a pipe of its own; its death is seen at once and named.

Reason for own code, beside concurrent.futures: its processes share one pipe for results, so a worker that is killed while
it writes leaves the others' reader waiting for ever for the rest of a message. Here each worker has a pipe that nobody
else writes to: its death is an end of file, noticed at once and named. Workers whose parent is gone see the same and end.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from megatron_ext.arguments.problems import UserError


class Worker:
    """A process and this side of its pipe: items are sent, answers `(error, result)` come back."""

    def __init__(self, number: int, make: Callable, arguments: tuple):
        context = multiprocessing.get_context("spawn")  # a fork would copy locks that threads hold
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, make, arguments), name=f"worker {number}", daemon=True)
        self.process.start()
        other.close()

    def death(self) -> str:
        """How it ended, in words."""
        self.process.join(5)
        code = self.process.exitcode
        cause = f"was killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with status {code}"
        hint = ", which is what happens when memory runs out" if code == -signal.SIGKILL else ""
        return f"{self.process.name} (process {self.process.pid}) {cause}{hint}"

    def end(self) -> None:
        """Let it read an end of file and end; by force if it does not."""
        self.pipe.close()
        self.process.join(10)
        self.process.kill()


_ENDINGS = {signal.SIGINT, signal.SIGTERM}


@contextlib.contextmanager
def signals_deferred() -> Iterator[None]:
    """Inside, Ctrl-C and SIGTERM wait: a process whose start is broken off in its middle dies with a traceback.

    The mask is what the process inherits. Here it is not enough: a thread of some library may hear a signal, too, and Python then
    runs the handler in this one.
    """
    before, heard = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDINGS), []
    ours = threading.current_thread() is threading.main_thread()  # others can set no handlers
    handlers = {number: signal.signal(number, lambda number, _: heard.append(number)) for number in _ENDINGS if ours}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number in heard[:1]:
            signal.raise_signal(number)


def _serve(pipe: Any, make: Callable, arguments: tuple) -> None:
    """A worker's life: items in, results out, until the other side closes the pipe. A terminal's Ctrl-C reaches it too, and is
    the other side's to hear."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDINGS)
    work = failure = None
    try:
        work = make(*arguments)
    except Exception as error:
        failure = _sendable(error)
    with contextlib.suppress(EOFError, OSError):  # the other side has gone, maybe in the middle of a message
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
