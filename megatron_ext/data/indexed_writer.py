"""Writes the `.bin/.idx` pair that megatron-core's `IndexedDataset` reads, one sequence a document, in constant memory.

`.bin` holds the tokens of all documents, end to end, as uint16 or int32. `.idx` holds, little-endian:

    9 bytes "MMIDIDX\0\0" · uint64 version 1 · uint8 code of the tokens' type · uint64 sequences N · uint64 N + 1
    int32 [N] tokens of each sequence · int64 [N] byte offset of each in .bin · int64 [N + 1] sequences before each document

Same bytes as megatron-core's `IndexedDatasetBuilder` (megatron/core/datasets/indexed_dataset.py). Reasons for own code: the
builder keeps two Python lists with an entry a document, writes under the final names, and comes with torch (seconds).

Beside them goes `.json`, which says whose tokens they are (data/sidecar.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
from collections.abc import Iterable, Iterator

import numpy as np

from megatron_ext.corpus.whole_file import WholeFile, naming
from megatron_ext.data.checksum import Checksum

MAGIC, VERSION = b"MMIDIDX\x00\x00", 1
WRITTEN = (".bin", ".json", ".idx")
"""The ends of the files of a pair, in the order in which they get their names."""
_CODES = {"int32": 4, "uint16": 8}
HEADER = len(MAGIC) + 8 + 1 + 8 + 8
_CHUNK = 2**20


def token_dtype(vocab_size: int) -> np.dtype:
    """The smallest type that megatron-core's readers expect for a vocabulary: `DType.optimal_dtype`."""
    return np.dtype(np.uint16 if vocab_size < 65_500 else np.int32)


class IndexedWriter:
    """Writes PREFIX.bin, .idx and .json. `add` …, `seal`, `publish`; `discard` at any time removes what was not published.

    Attributes: dtype: of the tokens; documents, tokens: how many there are so far.
    """

    def __init__(self, prefix: str, dtype: np.dtype):
        self.dtype = np.dtype(dtype)
        self.documents = self.tokens = 0
        self._code = _CODES[self.dtype.name]
        self._checksum = Checksum()
        with contextlib.ExitStack() as undo:  # of a partial start: a later file cannot be opened
            files = []
            for end in WRITTEN:
                files.append(WholeFile(prefix + end))
                undo.callback(files[-1].discard)
            self._bin, self._json, self._idx = self._files = files
            undo.pop_all()
        self._idx.write(bytes(HEADER))

    def add(self, tokens: np.ndarray, lengths: np.ndarray) -> None:
        """Add documents: `tokens` `[sum of lengths]` of all of them, and `lengths` `[documents]`."""
        if int(lengths.sum()) != len(tokens):
            raise ValueError(f"lengths add up to {int(lengths.sum())}, and there are {len(tokens)} tokens")
        self.add_tokens(tokens)
        self.add_lengths(lengths)

    def add_tokens(self, tokens: np.ndarray) -> None:
        """Add tokens whose lengths come apart from them (`add_lengths`); `seal` wants both to agree."""
        if tokens.dtype != self.dtype:
            raise ValueError(f"tokens are {tokens.dtype}, and the file holds {self.dtype}")
        self._bin.write(np.ascontiguousarray(tokens).data)
        self._checksum.add_tokens(tokens)
        self.tokens += len(tokens)

    def add_lengths(self, lengths: np.ndarray) -> None:
        lengths = np.ascontiguousarray(lengths, np.int32)
        self._idx.write(lengths.data)
        self._checksum.add_lengths(lengths)
        self.documents += len(lengths)

    def seal(self, source: dict | None = None, ends: Iterable[np.ndarray] | None = None) -> None:
        """Complete the files and flush them to disk, still under their temporary names.

        Args:
            source: what the sidecar says of the tokens' making (`sidecar.source`).
            ends: where a document may hold several sequences, those before each document and at last all, in pieces of int64.
        """
        offset = 0
        for start in range(0, self.documents, _CHUNK):
            count = min(_CHUNK, self.documents - start)
            lengths = np.frombuffer(self._idx.read_at(HEADER + 4 * start, 4 * count), np.int32)
            reach = offset + np.cumsum(lengths, dtype=np.int64) * self.dtype.itemsize
            self._idx.write(np.concatenate([[offset], reach[:-1]]).astype(np.int64).data)
            offset = int(reach[-1])
        if offset != self.tokens * self.dtype.itemsize:
            raise ValueError(f"lengths add up to {offset // self.dtype.itemsize}, and there are {self.tokens} tokens")
        count = 0
        for part in self._one_sequence_each() if ends is None else ends:
            self._idx.write(np.ascontiguousarray(part, np.int64).data)
            count += len(part)
        self._idx.write_at(0, MAGIC + struct.pack("<QBQQ", VERSION, self._code, self.documents, count))
        content = {"documents": self.documents, "tokens": self.tokens, "dtype": self.dtype.name}
        content |= {"checksum": self._checksum.hexdigest(), **(source or {})}
        self._json.write(json.dumps(content, indent=1).encode() + b"\n")
        for file in self._files:
            file.seal()

    def _one_sequence_each(self) -> Iterator[np.ndarray]:
        for start in range(0, self.documents + 1, _CHUNK):
            yield np.arange(start, min(start + _CHUNK, self.documents + 1), dtype=np.int64)

    def publish(self) -> None:
        """Give all their names. An older `.idx` goes first, the new one comes last: without it there is no pair, so at no time
        does one stand beside other tokens or another pair's sidecar."""
        with naming(self._idx.path), contextlib.suppress(FileNotFoundError):
            os.unlink(self._idx.path)
        for file in self._files:
            file.publish()

    def discard(self) -> None:
        for file in self._files:
            file.discard()
