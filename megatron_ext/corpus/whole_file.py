"""A file that is there whole or not at all: written under another name, flushed to disk, then renamed.

The other name is `PATH.partial`. A run that was killed leaves it, and the next run writes over it; a lock on it keeps two
runs from writing the same file at the same time. On a file system without locks (Lustre, as it is mostly mounted) each process
writes under a name of its own, `PATH.HOST-PID-N.partial`: of two that write the same file each is whole, and the last one stays.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import itertools
import os
import socket
from collections.abc import Iterator
from typing import Any

from megatron_ext.arguments.problems import UserError


@contextlib.contextmanager
def naming(path: str) -> Iterator[None]:
    """Errors of the file system as one sentence: no space, no rights, no such folder."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from None


_numbers = itertools.count()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        pass
    return True


class WholeFile:
    """Write, `seal`, `publish`. `discard` removes what was not published; it may always be called."""

    def __init__(self, path: str):
        self.path, self._partial = path, path + ".partial"
        with naming(path):
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            self._open()
            while not self._is_still_there():  # its last holder gave it its name between our opening and our locking
                self._file.close()
                self._open()
            self._file.truncate(0)

    def _open(self) -> None:
        self._file = open(os.open(self._partial, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=2**20)
        if not self._lock():
            self.discard()
            self._partial = self._of_our_own()
            self._file = open(self._partial, "w+b", buffering=2**20)

    def _is_still_there(self) -> bool:
        try:
            return os.path.samestat(os.stat(self._partial), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            return False

    def _lock(self) -> bool:
        """False: the file system has no locks."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise UserError(f"{self.path}: is being written by another run; wait for it, or name another output") from None
        except OSError:
            return False
        return True

    def _of_our_own(self) -> str:
        """A name that nobody else has, once what killed processes of this host left is gone."""
        ours = f"{self.path}.{socket.gethostname()}-"
        for left in glob.glob(glob.escape(ours) + "*.partial"):
            number = left.removeprefix(ours).partition("-")[0]
            if number.isdigit() and not _is_alive(int(number)):
                with contextlib.suppress(OSError):
                    os.unlink(left)
        return f"{ours}{os.getpid()}-{next(_numbers)}.partial"

    def write(self, data: Any) -> None:
        """Append bytes, or anything with the buffer protocol."""
        with naming(self.path):
            self._file.write(data)

    def write_at(self, offset: int, data: bytes) -> None:
        """Write over what is there."""
        with naming(self.path):
            self._file.seek(offset)
            self._file.write(data)
            self._file.seek(0, os.SEEK_END)

    def read_at(self, offset: int, count: int) -> bytes:
        """What was written, `count` bytes from `offset`."""
        with naming(self.path):
            self._file.flush()
            return os.pread(self._file.fileno(), count, offset)

    def seal(self) -> None:
        """Flush to disk. After this, publishing needs no more space."""
        with naming(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())

    def publish(self) -> None:
        """Give the sealed file its name, in place of an older one."""
        if not self._is_still_there():
            raise UserError(f"{self.path}: cannot be written ({self._partial} was taken away by another run); run again")
        with naming(self.path):
            os.replace(self._partial, self.path)
            self._file.close()
            folder = os.open(os.path.dirname(self.path) or ".", os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def discard(self) -> None:
        if not self._file.closed:
            with contextlib.suppress(OSError):
                os.unlink(self._partial)
            with contextlib.suppress(OSError):  # closing flushes, and the disk may be full
                self._file.close()


def write_whole(path: str | os.PathLike, content: str | bytes) -> None:
    """A small file, all at once."""
    file = WholeFile(os.fspath(path))
    try:
        file.write(content.encode() if isinstance(content, str) else content)
        file.seal()
        file.publish()
    finally:
        file.discard()
