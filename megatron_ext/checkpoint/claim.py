"""One run a folder: while it trains, its first process holds a lock there, and every process must see the folder.

Two runs in one folder would clear away each other's saves and mix their records (a job that was requeued before the old one
had ended). A node that sees another folder under the same name would write its part of each checkpoint where nobody finds it.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import time
import uuid
from collections.abc import Iterator

import torch

from megatron_ext.arguments.problems import UserError
from megatron_ext.backend.distributed import all_or_none, first_for_all, node_name
from megatron_ext.backend.file_lock import locked

LOCK = ".lock"
PATIENCE = 20.0  # seconds: an earlier process of the same run may be ending, and a file server may show a new file late


@contextlib.contextmanager
def claimed(folder: pathlib.Path) -> Iterator[None]:
    """Inside, this run alone has the folder, which is made if it is not there. Collective; UserError on all processes.

    Where a file system has no locks, the folder is only looked at.
    """
    what = f"--save {folder}"
    with contextlib.ExitStack() as held:
        word = first_for_all(lambda: _take(folder, held), what)
        all_or_none(lambda: _must_see(folder, word), what)
        yield


def _take(folder: pathlib.Path, held: contextlib.ExitStack) -> str:
    """Lock the folder and leave a word in it, which is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    if held.enter_context(locked(path, PATIENCE)) is False:
        holder = path.read_text(encoding="utf-8").partition(" #")[0] or "another run"
        raise UserError(f"is in use by {holder}; wait until that has ended, or give another folder")
    word = f"process {os.getpid()} on {node_name()} #{uuid.uuid4().hex}"
    path.write_text(word, encoding="utf-8")
    return word


def _must_see(folder: pathlib.Path, word: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while _word(folder) != word:
        if time.monotonic() > deadline:
            raise UserError(
                f"process {torch.distributed.get_rank()} on {node_name()} does not see there what process 0 wrote; give a "
                "folder on a disk that all nodes share, with its full path"
            )
        time.sleep(0.1)


def _word(folder: pathlib.Path) -> str | None:
    with contextlib.suppress(FileNotFoundError):
        os.listdir(folder)  # asks a file server anew, where a lookup of the name alone may be answered from memory
        return (folder / LOCK).read_text(encoding="utf-8")
    return None
