"""How the monitor's files are written: grown by whole pieces, or put in place whole.

A disk fills up in the middle of a line, and the run goes on (`monitor.py`). So of a piece that cannot be written whole nothing
stays, and nothing waits in a buffer to be written later, or by the interpreter at its end.
"""

from __future__ import annotations

import contextlib
import os
import pathlib

from megatron_ext.corpus.whole_file import WholeFile


class AppendedFile:
    """A file that grows. What `write` was given has reached it, or OSError is raised and the next piece may be tried."""

    def __init__(self, path: pathlib.Path):
        self._file = open(path, "ab", buffering=0)
        self._whole: int | None = None  # where half a piece begins that could not be cut off

    def write(self, piece: bytes) -> None:
        if self._whole is not None:
            self._cut()
        self._whole, left = self._file.seek(0, os.SEEK_END), memoryview(piece)
        try:
            while left:  # a full disk takes a part first, and refuses the rest
                left = left[self._file.write(left) :]
        except OSError:
            with contextlib.suppress(OSError):
                self._cut()
            raise
        self._whole = None

    def _cut(self) -> None:
        """Take back half a piece, for which a full disk has room."""
        self._file.truncate(self._whole)
        self._whole = None

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        self._file.close()


def write_whole(path: pathlib.Path, text: str) -> None:
    """Put a text in a file's place: the old one or the new one is there, whatever happens. UserError where it cannot be."""
    file = WholeFile(str(path))
    try:
        file.write(text.encode())
        file.seal()
        file.publish()
    finally:
        file.discard()
