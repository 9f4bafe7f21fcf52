"""Reads a `.bin/.idx` pair (its layout: data/indexed_writer.py), as megatron-core's `IndexedDataset` does.

Reasons for own code: it starts without torch. It reads `.bin` with pread, which is as quick as a map (6 µs a document that is in
memory, 0.1 ms one that is on the disk) and makes an error of a file that is cut off meanwhile, where a map kills the process
(SIGBUS). And the system does not read ahead, which documents in random order have no use for: 3 to 4 ms each, where it
is set to 8 MB. `--mmap-bin-files` maps all the same, and then can only look at the size before each read.
"""

from __future__ import annotations

import dataclasses
import mmap as mmap_
import os
import struct

import numpy as np

from megatron_ext.arguments.problems import UserError
from megatron_ext.data.indexed_writer import HEADER, MAGIC, VERSION

_TYPES = {1: np.uint8, 2: np.int8, 3: np.int16, 4: np.int32, 5: np.int64, 8: np.uint16}
AGAIN = "run tools/preprocess_data.py again"


class Index:
    """One pair, opened for reading by any number of threads.

    Args:
        prefix: its path without .bin and .idx.
        vocab_size: ids at or above it are refused when read.
        mmap: map `.bin` into memory.
        option: the flag that named it, for errors.

    Attributes:
        lengths: tokens of each document, int32 `[documents]`, mapped.
        offsets: where each begins in `.bin`, in bytes, int64 `[documents]`, mapped.
        tokens, dtype: of `.bin`.
        ends: entries of the list of documents, one more than those; each document here is a sequence there.
    """

    def __init__(self, prefix: str, vocab_size: int = 2**31, mmap: bool = False, option: str = "--data-path"):
        self.prefix, self.vocab_size, self.where = prefix, vocab_size, f"{option} {prefix}"
        for suffix in (".idx", ".bin"):
            if not os.path.exists(prefix + suffix):
                raise UserError(
                    f"{self.where}: {prefix}{suffix} does not exist; "
                    "give the prefix that tools/preprocess_data.py wrote, without .bin or .idx"
                )
        try:
            self._idx, self._bin = (open(prefix + suffix, "rb", buffering=0) for suffix in (".idx", ".bin"))
            self._map_index()
        except OSError as error:
            raise UserError(f"{self.where}: {error.filename or prefix} cannot be read ({error.strerror})") from None
        self.size = int(self.offsets[-1]) + int(self.lengths[-1]) * self.dtype.itemsize
        self.tokens = self.size // self.dtype.itemsize
        self.check()
        self._map = mmap_.mmap(self._bin.fileno(), 0, access=mmap_.ACCESS_READ) if mmap and self.size else None
        if self._map is not None:
            if hasattr(mmap_, "MADV_RANDOM"):
                self._map.madvise(mmap_.MADV_RANDOM)
            self._mapped = np.frombuffer(self._map, self.dtype)

    def _map_index(self) -> None:
        path = self.prefix + ".idx"
        head, found = self._idx.read(HEADER), os.fstat(self._idx.fileno()).st_size
        if len(head) < HEADER or not head.startswith(MAGIC):
            raise UserError(f"{self.where}: {path} is not an index of tokens; {AGAIN}")
        version, code, documents, ends = struct.unpack("<QBQQ", head[len(MAGIC) :])
        if version != VERSION or code not in _TYPES:
            raise UserError(
                f"{self.where}: {path} is an index of version {version} and type {code}, not one of token ids; {AGAIN}"
            )
        self._idx_size, self.ends = HEADER + 12 * documents + 8 * ends, ends
        if found == self._idx_size + documents and documents:
            raise UserError(f"{self.where}: {path} is multimodal (it has a mode for each sequence); give text")
        if found != self._idx_size:
            raise UserError(f"{self.where}: {path} has {found} bytes and its head tells of {self._idx_size}; {AGAIN}")
        if documents == 0:
            raise UserError(f"{self.where}: holds no documents; give other data")
        self.dtype, self.documents = np.dtype(_TYPES[code]), documents
        mapped = np.memmap(self._idx, np.uint8, "r")
        self.lengths = np.frombuffer(mapped, np.int32, documents, HEADER)
        self.offsets = np.frombuffer(mapped, np.int64, documents, HEADER + 4 * documents)

    def begins(self, documents: np.ndarray) -> np.ndarray:
        """Where documents begin in `.bin`, in tokens: int64 `[documents]` of their numbers.

        UserError: one does not end where the next begins, so an offset or a length is damaged and other tokens would be read.
        The last one ends where `.bin` does, by `check`.
        """
        begins = self.offsets[documents]
        ends = begins + self.lengths[documents].astype(np.int64) * self.dtype.itemsize
        after = np.minimum(documents + 1, self.documents - 1)
        wrong = (ends != self.offsets[after]) & (after > documents)
        if wrong.any():
            self._name_the_document(int(documents[wrong][0]))
        return begins // self.dtype.itemsize

    def _name_the_document(self, number: int) -> None:
        begin, length, after = int(self.offsets[number]), int(self.lengths[number]), int(self.offsets[number + 1])
        raise UserError(
            f"{self.where}: by {self.prefix}.idx document {number} has {length} tokens from byte {begin} of .bin on, so that "
            f"document {number + 1} should begin at byte {begin + length * self.dtype.itemsize}, and it says {after}; "
            f"the index is damaged: {AGAIN}"
        )

    def read(self, starts: np.ndarray, counts: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Fill `out`, int64 `[sum of counts]`, with pieces of `.bin`: `counts` tokens from the `starts`-th token on.

        UserError: the file has changed since it was opened, or does not hold ids of this vocabulary.
        """
        self.check()
        pieces, at = list(zip(starts.tolist(), counts.tolist(), strict=True)), 0
        for start, count in pieces:
            if start < 0 or start + count > self.tokens:
                raise UserError(f"{self.where}: {self.prefix}.idx points outside of its .bin; the index is damaged: {AGAIN}")
            self._announce(start, count)
        for start, count in pieces:
            out[at : at + count] = self._piece(start, count)
            at += count
        if at and not 0 <= out[:at].min() <= out[:at].max() < self.vocab_size:
            self._name_the_token(starts, counts, out)
        return out

    def _announce(self, start: int, count: int) -> None:
        """Let the disk begin with a piece: all of a sample's come in at once, and a map's pages not one by one."""
        if hasattr(os, "posix_fadvise"):
            size = self.dtype.itemsize
            os.posix_fadvise(self._bin.fileno(), start * size, count * size, os.POSIX_FADV_WILLNEED)

    def _piece(self, start: int, count: int) -> np.ndarray:
        if self._map is not None:
            return self._mapped[start : start + count]
        size = self.dtype.itemsize
        data = os.pread(self._bin.fileno(), count * size, start * size)
        if len(data) != count * size:
            self.check()  # cut off since the check before: the whole sentence
            raise UserError(
                f"{self.where}: only {len(data)} of {count * size} bytes could be read at byte {start * size} of .bin"
            )
        return np.frombuffer(data, self.dtype)

    def check(self) -> None:
        """Both files still have the size that they should have; before every read, since reading past an end is fatal."""
        found = os.fstat(self._bin.fileno()).st_size
        if found != self.size:
            raise UserError(
                f"{self.where}: {self.prefix}.bin has {found} bytes and its index tells of {self.size}; "
                f"the pair does not belong together or is cut off: {AGAIN}"
            )
        if os.fstat(self._idx.fileno()).st_size != self._idx_size:
            raise UserError(f"{self.where}: {self.prefix}.idx was changed while it was read; start the run again")

    def _name_the_token(self, starts: np.ndarray, counts: np.ndarray, out: np.ndarray) -> None:
        bad = int(np.flatnonzero((out < 0) | (out >= self.vocab_size))[0])
        piece = int(np.searchsorted(np.cumsum(counts), bad, side="right"))
        place = int(starts[piece]) + bad - int(counts[:piece].sum())
        raise UserError(
            f"{self.where}: holds token {int(out[bad])} (the {place}-th of .bin), and the tokenizer has {self.vocab_size} "
            "entries; give the tokenizer that the data was made with (--tokenizer-type, --tokenizer-model)"
        )

    def glance(self) -> None:
        """Look at the beginnings of a hundred documents: a wrong tokenizer or a damaged index shows at once."""
        some = np.unique(np.linspace(0, self.documents - 1, num=min(self.documents, 100), dtype=np.int64))
        counts = np.minimum(self.lengths[some], 1000).astype(np.int64)
        self.read(self.begins(some), counts, np.empty(int(counts.sum()), np.int64))


@dataclasses.dataclass(frozen=True, eq=False)
class Documents:
    """The documents `first` to `last` − 1 of a pair, of which `content` is the fingerprint."""

    index: Index
    first: int
    last: int
    content: dict

    def __len__(self) -> int:
        return self.last - self.first

    @property
    def begin(self) -> int:
        """Where in `.bin` the first of them begins, in tokens."""
        return int(self.index.begins(np.array([self.first]))[0]) if len(self) else 0

    @property
    def tokens(self) -> int:
        if not len(self):
            return 0
        last = self.last - 1
        return int(self.index.begins(np.array([last]))[0]) + int(self.index.lengths[last]) - self.begin
