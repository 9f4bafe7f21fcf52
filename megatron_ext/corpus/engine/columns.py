"""Numbers that one stage leaves for another: named arrays in one file (safetensors), whole or not there, read in pieces.

safetensors writes them. They are read by mapping the file, since its own reader copies what it is asked for: here a column is
an array of which only the pages that are looked at are read. (10 µs a piece there, and many stages want a piece a document.)
"""

from __future__ import annotations

import json
import mmap
import os
import pathlib
from collections.abc import Mapping

import numpy as np

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.engine.stages import writing
from megatron_ext.corpus.whole_file import write_whole

KINDS = {"BOOL": np.bool_, "U8": np.uint8, "U16": np.uint16, "U32": np.uint32, "U64": np.uint64, "I64": np.int64}


def write_columns(path: pathlib.Path, columns: Mapping[str, np.ndarray]) -> None:
    from safetensors.numpy import save

    with writing():
        write_whole(path, save({name: np.ascontiguousarray(column) for name, column in columns.items()}))


class Columns:
    """A file of columns, opened; nothing is read before it is looked at. UserError where it is not there or not whole."""

    def __init__(self, path: os.PathLike):
        try:
            with open(path, "rb") as file:
                self._content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._begin = 8 + int.from_bytes(self._content[:8], "little")
            self._told = json.loads(self._content[8 : self._begin])
            self._told.pop("__metadata__", None)
            if max((each["data_offsets"][1] for each in self._told.values()), default=0) != len(self._content) - self._begin:
                raise ValueError("it is cut off")
        except (OSError, ValueError, OverflowError) as error:
            raise UserError(f"{path}: cannot be read ({error}); remove it, and the same command makes it again") from None

    def __getitem__(self, name: str) -> np.ndarray:
        """A column, read-only."""
        told = self._told[name]
        shape, begin = told["shape"], self._begin + told["data_offsets"][0]
        return np.frombuffer(self._content, KINDS[told["dtype"]], int(np.prod(shape)), begin).reshape(shape)

    def names(self) -> list[str]:
        return list(self._told)

    def piece(self, name: str, begin: int, end: int) -> np.ndarray:
        """Rows [begin, end) of a column."""
        return self[name][begin:end]

    def rows(self, name: str) -> int:
        return self._told[name]["shape"][0]
