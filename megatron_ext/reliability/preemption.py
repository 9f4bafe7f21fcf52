"""A signal asks the run to stop: it finishes the update at hand, saves, and ends with status 75. `--exit-signal`

SLURM before a time limit or a preemption, Kubernetes before it moves a pod, and torchrun on its own SIGTERM all send a
signal some time before SIGKILL. It is noted at once, even while the process waits inside a collective, and looked at between
two updates. A second one that comes later than `REPEAT` seconds ends the process at once: sooner ones are the same request
on another way (srun and torchrun may both pass it on).

    exit status    0 done · 1 failed · 2 wrong flags · 75 stopped by the signal, call again (EX_TEMPFAIL of sysexits.h)

Under torchrun 75 is the workers' status; torchrun itself ends with 1. So whoever starts it may name an empty file in
`$MEGATRON_EXT_STATUS_FILE`, one a machine, in which the processes there leave word: `begun` from the first update on, `75` once
they stopped and have saved. Each holds a lock on it while it lives. `examples/common.sh` reads it.

torchrun and `srun --kill-on-bad-exit` send SIGTERM to the other processes as soon as one has left with 75, so these must not
die of it on their way out: `obeyed`, `leave`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import NoReturn

STATUS = 75
REPEAT = 5.0
STATUS_FILE = "MEGATRON_EXT_STATUS_FILE"
_status_file: list[int] = []  # its descriptor: open and locked until this process ends, whoever tidies up the folder meanwhile


def begin() -> None:
    """From here on, ending without a save loses updates: said in the status file."""
    _tell("begun")


def leave(status: int) -> NoReturn:
    """End the program with `status`; one that was told to stop is not told again while the interpreter closes."""
    if status == STATUS:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _tell(str(STATUS))
    try:
        sys.stdout.flush()
    except OSError:  # on a full disk the interpreter would try again at its end, and put a status of its own in place of this
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def _tell(word: str) -> None:
    """Put a word into the status file, if there is one. A file that cannot be written says nothing, and ends nothing."""
    path = os.environ.get(STATUS_FILE)
    if path:
        with contextlib.suppress(OSError):
            if not _status_file:
                _status_file.append(os.open(path, os.O_WRONLY))
                fcntl.flock(_status_file[0], fcntl.LOCK_SH)
            os.pwrite(_status_file[0], word.ljust(len("begun")).encode(), 0)


class Preemption:
    """Notes a signal inside `with preemption.listening():`.

    Args:
        name: of the signal, `SIGTERM`; None notes nothing.
        speak: whether this process says on stderr that a signal has come (one a machine should).
    """

    def __init__(self, name: str | None = None, speak: bool = False):
        self.signal = None if name is None else signal.Signals[name]
        self.received = False
        self.obeyed = False  # the run has stopped and is saved: from there on another signal ends nothing
        self._speak = speak

    @contextlib.contextmanager
    def listening(self) -> Iterator[Preemption]:
        """The signal is noted and no longer ends the process. Outside the main thread Python takes no signals: then nothing."""
        if self.signal is None or threading.current_thread() is not threading.main_thread():
            yield self
            return
        # Python runs a handler only between two steps of the main thread, not while that waits in C++; the wake-up socket
        # is written to at once. So the handler does nothing, and a thread reads the socket.
        inbox, outbox = socket.socketpair()
        outbox.setblocking(False)
        wakeup = signal.set_wakeup_fd(outbox.fileno(), warn_on_full_buffer=False)
        handler = signal.signal(self.signal, lambda number, frame: None)
        thread = threading.Thread(target=self._listen, args=(inbox,), name="signals", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            signal.set_wakeup_fd(wakeup)
            outbox.close()
            thread.join()
            inbox.close()
            signal.signal(self.signal, signal.SIG_DFL if handler is None else handler)

    def _listen(self, inbox: socket.socket) -> None:
        first = None
        while numbers := inbox.recv(64):
            if self.signal not in numbers:
                continue
            now = time.monotonic()
            if first is None:
                first, self.received = now, True
                self._say("stopping after the update at hand and a save; a second one ends the run at once")
            elif now - first > REPEAT and not self.obeyed:
                self._say("came again: ending at once, unsaved")
                os._exit(128 + self.signal)

    def _say(self, what: str) -> None:
        if self._speak:
            print(f"{self.signal.name}: {what}", file=sys.stderr, flush=True)
