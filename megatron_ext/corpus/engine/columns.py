"""Numbers that one stage leaves for another: named arrays in one file (safetensors), whole or not there, read in pieces."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.engine.stages import writing
from megatron_ext.corpus.whole_file import write_whole

KINDS = {"BOOL": np.bool_, "U8": np.uint8, "U16": np.uint16, "U32": np.uint32, "U64": np.uint64, "I64": np.int64}


def write_columns(path: pathlib.Path, columns: Mapping[str, np.ndarray]) -> None:
    with writing():
        write_whole(path, save({name: np.ascontiguousarray(column) for name, column in columns.items()}))


class Columns:
    """A file of columns, opened; nothing is read before it is asked for. UserError where it is not there or not whole."""

    def __init__(self, path: os.PathLike):
        try:
            self._file = safe_open(os.fspath(path), "np")
        except Exception as error:  # safetensors has its own, and no common base
            raise UserError(f"{path}: cannot be read ({error}); remove it, and the same command makes it again") from None

    def __getitem__(self, name: str) -> np.ndarray:
        return self._file.get_tensor(name)

    def names(self) -> list[str]:
        return list(self._file.keys())

    def piece(self, name: str, begin: int, end: int) -> np.ndarray:
        """Rows [begin, end) of a column."""
        column = self._file.get_slice(name)
        if begin < end:
            return column[begin:end]
        return np.empty((0, *column.get_shape()[1:]), KINDS[column.get_dtype()])  # safetensors slices nothing out of nothing

    def rows(self, name: str) -> int:
        return self._file.get_slice(name).get_shape()[0]
