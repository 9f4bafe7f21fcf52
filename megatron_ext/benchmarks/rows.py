"""What a benchmark says, row by row: a function of its bench each, in a folder that goes afterwards."""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from megatron_ext.arguments.problems import UserError

Rows = Iterator[tuple[str, str]]


def measured(name: str, flags, make: Callable[[Any, pathlib.Path], Any], rows: Mapping[str, Callable[[Any], Rows]]) -> Rows:
    """`(what, how much)`, line by line: what `make(flags, folder)` says of itself (`about`), then `flags.rows`.

    A row whose peer is not there, or fails, is left out, and says why.
    """
    os.makedirs(flags.folder, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"benchmark_{name}_", dir=flags.folder))
    try:
        bench = make(flags, folder)
        yield from bench.about(flags)
        for row in flags.rows:
            try:
                yield from rows[row](bench)
            except (ImportError, UserError) as error:
                yield row, f"left out: {error}"
    finally:
        shutil.rmtree(folder)
