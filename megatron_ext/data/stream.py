"""A pair read once from its first byte to its last, in pieces of bounded size.

Read, not mapped: the pages of a map count as this process's memory, which then grows with the file.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import numpy as np

from megatron_ext.arguments.problems import UserError
from megatron_ext.data.index import Index
from megatron_ext.data.indexed_writer import HEADER

PIECE = 2**22
"""Bytes of a piece, about: as much as is read at full speed and stays near the processor."""


def lengths(index: Index) -> Iterator[np.ndarray]:
    """Tokens of each document, int32, in pieces."""
    return _pieces(index, ".idx", HEADER, index.documents, np.dtype(np.int32))


def offsets(index: Index) -> Iterator[np.ndarray]:
    """Where each begins in `.bin`, in bytes, int64, in pieces that hold as many documents as those of `lengths`."""
    return _pieces(index, ".idx", HEADER + 4 * index.documents, index.documents, np.dtype(np.int64), pieces=2)


def ends(index: Index) -> Iterator[np.ndarray]:
    """The list of documents, int64: how many sequences come before each, and at last how many there are."""
    return _pieces(index, ".idx", HEADER + 12 * index.documents, index.ends, np.dtype(np.int64))


def tokens(index: Index) -> Iterator[np.ndarray]:
    """All tokens, in pieces, of the pair's own type."""
    return _pieces(index, ".bin", 0, index.tokens, index.dtype)


def tokens_and_last(index: Index) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All tokens in pieces, and the places in each where a document's last token lies, int64. Empty documents have none."""
    reach = _last_places(index)
    held, start = next(reach, None), 0
    for piece in tokens(index):
        stop, found = start + len(piece), []
        while held is not None:
            cut = int(np.searchsorted(held, stop))
            found.append(held[:cut])
            held = held[cut:]
            if len(held):
                break
            held = next(reach, None)
        yield piece, np.concatenate(found) - start if found else np.empty(0, np.int64)
        start = stop


def _last_places(index: Index) -> Iterator[np.ndarray]:
    before = 0
    for part in lengths(index):
        reach = before + np.cumsum(part, dtype=np.int64)
        before = int(reach[-1])
        yield (reach - 1)[part > 0]


def _pieces(index: Index, end: str, begin: int, count: int, dtype: np.dtype, pieces: int = 1) -> Iterator[np.ndarray]:
    path, at_once = index.prefix + end, pieces * PIECE // dtype.itemsize
    try:
        with open(path, "rb", buffering=0) as file:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), begin, count * dtype.itemsize, os.POSIX_FADV_SEQUENTIAL)
            for first in itertools.count(step=at_once):
                some = min(at_once, count - first)
                if some <= 0:
                    return
                data = os.pread(file.fileno(), some * dtype.itemsize, begin + first * dtype.itemsize)
                if len(data) != some * dtype.itemsize:
                    raise UserError(f"{index.where}: {path} was cut off while it was read; start again")
                yield np.frombuffer(data, dtype)
    except OSError as error:
        raise UserError(f"{index.where}: {path} cannot be read ({error.strerror})") from None
