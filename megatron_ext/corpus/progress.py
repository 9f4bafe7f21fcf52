"""How far a long reading is: a bar with MB/s and documents/s on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import os
import sys
import time
from typing import Any


class Meter:
    """A context manager. Bytes on disk give the share that is done, bytes of text the speed.

    Args:
        total: bytes of the files on disk.
        interval, seconds: documents, or seconds, between two lines where stderr is not a terminal; 0: none.
    """

    def __init__(self, what: str, total: int, interval: int = 0, seconds: float = 0.0):
        self._what, self._total, self._interval, self._seconds = what, max(total, 1), interval, seconds
        self._done = self._text = self._documents = 0
        self._start, self._next = time.monotonic(), interval
        self._next_time = self._start + seconds
        self._bar = self._task = None

    def __enter__(self) -> Meter:
        # rich is asked only where it may say yes: to import it takes as long as to deduplicate five megabytes
        asked = any(os.environ.get(name) for name in ("FORCE_COLOR", "TTY_COMPATIBLE"))
        if asked or sys.stderr.isatty():
            self._begin_bar()
        return self

    def _begin_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        if console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[speed]}"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=console, transient=True)
            self._task = self._bar.add_task(self._what, total=self._total, speed="")
            self._bar.start()

    def __exit__(self, *error: Any) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, read_bytes: int, text_bytes: int, documents: int) -> None:
        self._done += read_bytes
        self._text += text_bytes
        self._documents += documents
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, speed=self._speed())
        elif self._is_due():
            share = min(self._done / self._total, 1)
            print(f"{self._what}: {self._documents:,} documents, {share:.0%}, {self._speed()}", file=sys.stderr, flush=True)

    def _is_due(self) -> bool:
        now = time.monotonic()
        if self._seconds and now >= self._next_time:
            self._next_time = now + self._seconds
            return True
        if self._interval and self._documents >= self._next:
            self._next = self._documents - self._documents % self._interval + self._interval
            return True
        return False

    def note(self, what: str) -> None:
        """What is going on now."""
        if self._bar is not None:
            self._bar.update(self._task, description=what)

    def _speed(self) -> str:
        seconds = max(time.monotonic() - self._start, 1e-9)
        return f"{self._text / seconds / 1e6:.1f} MB/s, {self._documents / seconds:,.0f} docs/s"
