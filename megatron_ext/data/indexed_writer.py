"""Writes the `.bin/.idx` pair that megatron-core's `IndexedDataset` reads, one sequence a document, in constant memory.

`.bin` holds the tokens of all documents, end to end, as uint16 or int32. `.idx` holds, little-endian:

    9 bytes "MMIDIDX\0\0" · uint64 version 1 · uint8 code of the tokens' type · uint64 sequences N · uint64 N + 1
    int32 [N] tokens of each sequence · int64 [N] byte offset of each in .bin · int64 [N + 1] sequences before each document

Same bytes as megatron-core's `IndexedDatasetBuilder` (megatron/core/datasets/indexed_dataset.py). Reasons for own code: the
builder keeps two Python lists with an entry a document, writes under the final names, and comes with torch (seconds).
"""

from __future__ import annotations

import contextlib
import os
import struct

import numpy as np

from megatron_ext.corpus.whole_file import WholeFile, naming

MAGIC, VERSION = b"MMIDIDX\x00\x00", 1
_CODES = {"int32": 4, "uint16": 8}
HEADER = len(MAGIC) + 8 + 1 + 8 + 8
_CHUNK = 2**20


def token_dtype(vocab_size: int) -> np.dtype:
    """The smallest type that megatron-core's readers expect for a vocabulary: `DType.optimal_dtype`."""
    return np.dtype(np.uint16 if vocab_size < 65_500 else np.int32)


class IndexedWriter:
    """Writes PREFIX.bin and PREFIX.idx. `add` …, `seal`, `publish`; `discard` at any time removes what was not published.

    Attributes: dtype: of the tokens; documents, tokens: how many there are so far.
    """

    def __init__(self, prefix: str, dtype: np.dtype):
        self.dtype = np.dtype(dtype)
        self.documents = self.tokens = 0
        self._code = _CODES[self.dtype.name]
        self._bin = WholeFile(prefix + ".bin")
        try:
            self._idx = WholeFile(prefix + ".idx")
        except BaseException:
            self._bin.discard()
            raise
        self._idx.write(bytes(HEADER))

    def add(self, tokens: np.ndarray, lengths: np.ndarray) -> None:
        """Add documents: `tokens` `[sum of lengths]` of all of them, and `lengths` `[documents]`."""
        if tokens.dtype != self.dtype:
            raise ValueError(f"tokens are {tokens.dtype}, and the file holds {self.dtype}")
        if int(lengths.sum()) != len(tokens):
            raise ValueError(f"lengths add up to {int(lengths.sum())}, and there are {len(tokens)} tokens")
        self._bin.write(np.ascontiguousarray(tokens).data)
        self._idx.write(np.ascontiguousarray(lengths, np.int32).data)
        self.documents += len(lengths)
        self.tokens += len(tokens)

    def seal(self) -> None:
        """Complete both files and flush them to disk, still under their temporary names."""
        offset = 0
        for start in range(0, self.documents, _CHUNK):
            count = min(_CHUNK, self.documents - start)
            lengths = np.frombuffer(self._idx.read_at(HEADER + 4 * start, 4 * count), np.int32)
            ends = offset + np.cumsum(lengths, dtype=np.int64) * self.dtype.itemsize
            self._idx.write(np.concatenate([[offset], ends[:-1]]).astype(np.int64).data)
            offset = int(ends[-1])
        for start in range(0, self.documents + 1, _CHUNK):
            self._idx.write(np.arange(start, min(start + _CHUNK, self.documents + 1), dtype=np.int64).data)
        self._idx.write_at(0, MAGIC + struct.pack("<QBQQ", VERSION, self._code, self.documents, self.documents + 1))
        self._bin.seal()
        self._idx.seal()

    def publish(self) -> None:
        """Give both their names. An older `.idx` goes first: at no time does one name an index of other tokens."""
        with naming(self._idx.path), contextlib.suppress(FileNotFoundError):
            os.unlink(self._idx.path)
        self._bin.publish()
        self._idx.publish()

    def discard(self) -> None:
        self._bin.discard()
        self._idx.discard()
