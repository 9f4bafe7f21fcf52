"""One input file as a stream of bytes: plain, .gz or .zst, read with bounded memory, and never taken as whole when cut off.

It lies on a disk or behind a URL (`urls.py`). Of a plain file the lines of a range of bytes can be read alone: a line is of
the range in which it begins, so ranges side by side give each line once.

Both compressed forms go through one loop of our own: zstandard's own stream reader ends quietly where a truncated file
ends, and a corpus would lose its tail without a word. Several frames or members in a row are one stream, as in `cat a.gz b.gz`.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus import urls

COMPRESSED = (".gz", ".zst")

LONGEST_RECORD = 64 * 2**20
"""Bytes. A longer record cannot be held and tokenized in reasonable memory: it is rejected, without being read into memory."""

_BLOCK = 2**20
_FIRST_STEP, _LARGEST_STEP = 2**10, 2**15
_MUCH = 2**22
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Source:
    """An open input file. Use as a context manager.

    Args:
        begin, end: of a plain file, the range of bytes of which `lines` yields what begins in it; None: to the end of the file.
            Readers whose records are no lines take the range by a measure of bytes, too (`row groups` that begin in it).
        folder: the reader takes a folder (`readers`): then there are no bytes to be read here.

    Attributes: path; size: bytes of the file as it lies on disk; file: that file, for formats that jump about in it;
        at: offset, in the content, of the first byte of the line last yielded.
    """

    def __init__(self, path: str, begin: int = 0, end: int | None = None, folder: bool = False):
        self.path, self.begin, self.end, self.at = path, begin, end, 0
        try:
            if not folder and os.path.isdir(path):
                raise UserError(f"{path}: is a folder; give files, or a pattern such as {os.path.join(path, '*.jsonl')}")
            self.file, self.size = (io.BytesIO(), 0) if folder else _opened(path)
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from None
        inflater = _inflater(path)
        raw = self.file if inflater is None else _Inflated(self.file, inflater, path)
        self._stream = io.BufferedReader(raw, _BLOCK)

    @property
    def position(self) -> int:
        """Bytes of the file on disk that have been read."""
        return min(self.file.tell(), self.size)

    def read(self, limit: int) -> bytes:
        """The next of the content, `limit` bytes at most, without a byte order mark."""
        return self._stream.read(limit).removeprefix(_BYTE_ORDER_MARK)

    def read_bytes(self, limit: int) -> bytes:
        """The next of the content as it is, `limit` bytes at most."""
        return self._stream.read(limit)

    def peek(self, count: int) -> bytes:
        """What `read_bytes` would give first, about `count` bytes of it, without going on."""
        return self._stream.peek(count)[:count]

    def readline(self, limit: int) -> bytes:
        """The next line, `limit` bytes of it at most."""
        return self._stream.readline(limit)

    def lines(self) -> Iterator[tuple[int, bytes | None]]:
        """`(number from 1, line with its end)`, of a range counted from its begin; None for a line longer than LONGEST_RECORD."""
        number, read_line, end = 0, self._stream.readline, float("inf") if self.end is None else self.end
        at = self._first_line()
        while at < end and (line := read_line(LONGEST_RECORD)):
            number += 1
            self.at, length = at, len(line)
            if at == 0:
                line = line.removeprefix(_BYTE_ORDER_MARK)
            if length >= LONGEST_RECORD and not line.endswith(b"\n"):
                length, line = length + self._rest_of_line(), None
            yield number, line
            at += length

    def _first_line(self) -> int:
        """Go to the first line that begins in the range; its offset."""
        if not self.begin:
            return 0
        self._stream.seek(self.begin - 1)
        return self.begin - 1 + self._rest_of_line()

    def _rest_of_line(self) -> int:
        """Pass over what is left of a line; its bytes."""
        passed = 0
        while piece := self._stream.readline(LONGEST_RECORD):
            passed += len(piece)
            if piece.endswith(b"\n"):
                break
        return passed

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *error: Any) -> None:
        self.file.close()


def _opened(path: str) -> tuple[io.RawIOBase, int]:
    if urls.is_url(path):
        return urls.opened(path)
    file = open(path, "rb", buffering=0)
    return file, os.fstat(file.fileno()).st_size


def _inflater(path: str) -> Callable[[], Any] | None:
    """A maker of decompressors for the file's ending; each handles one frame and knows when it is whole."""
    path = urls.name_of(path).lower()
    if path.endswith((".gz", ".tgz")):
        return lambda: zlib.decompressobj(wbits=31)
    if path.endswith(".zst"):
        import zstandard

        return zstandard.ZstdDecompressor(max_window_size=2**31).decompressobj
    return None


class _Inflated(io.RawIOBase):
    """The content of a compressed file; UserError where it is damaged or cut off."""

    def __init__(self, file: BinaryIO, make: Callable[[], Any], path: str):
        self._file, self._make, self._path = file, make, path
        self._inflater: Any = make()  # that of the frame we are in; None between frames
        self._ready = memoryview(b"")
        self._step = _FIRST_STEP  # bytes taken in at a time: repeated text may grow ten thousandfold, and must not at once

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        while not self._ready:
            block = self._file.read(self._step)
            if not block:
                if self._inflater is not None:
                    raise UserError(f"{self._path}: is cut off: the compressed data ends before its end mark")
                return 0
            self._ready = memoryview(self._inflate(block))
            self._step = max(self._step // 8, 16) if len(self._ready) > _MUCH else min(self._step * 2, _LARGEST_STEP)
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _inflate(self, block: bytes) -> bytes:
        parts = []
        while block:
            if self._inflater is None:
                block = block.lstrip(b"\0")  # some writers fill the last block with zeros
                if not block:
                    break
                self._inflater = self._make()
            try:
                parts.append(self._inflater.decompress(block))
            except Exception as error:  # zlib.error and zstandard.ZstdError have no common name
                reason = str(error).removeprefix("zstd decompressor error: ")
                raise UserError(f"{self._path}: is damaged or not what its ending says ({reason})") from None
            block = self._inflater.unused_data if self._inflater.eof else b""
            if self._inflater.eof:
                self._inflater = None
        return b"".join(parts)
