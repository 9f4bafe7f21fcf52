"""A lock between processes that share a file system: held by one at a time, gone when its holder dies, however that happens."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pathlib
import time
from collections.abc import Iterator

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}


@contextlib.contextmanager
def locked(path: pathlib.Path, patience: float) -> Iterator[bool | None]:
    """Inside, this process alone holds the lock, where it got True. False: another one held it for all of `patience` seconds.

    None: this file system has no locks. The file is made, and taken away by who holds it last. OSError where it cannot be made.
    """
    deadline = time.monotonic() + patience
    while True:
        with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as file:
            held = _lock(file, deadline)
            try:
                if held and not _is_still(path, file):  # its last holder took it away
                    continue
                yield held
            finally:
                if held and _is_still(path, file):
                    os.unlink(path)
            return


def _lock(file, deadline: float) -> bool | None:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return None
            raise


def _is_still(path: pathlib.Path, file) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
