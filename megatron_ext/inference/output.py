"""Where continuations go: the terminal, as they grow, or a file of JSON lines, as they end."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator

from megatron_ext.arguments.problems import UserError
from megatron_ext.inference.generate import Continuation


class Terminal:
    """Each prompt with its continuation on stdout, an empty line between two."""

    def __init__(self):
        self._current: Continuation | None = None

    def add(self, result: Continuation, piece: str) -> None:
        if result is not self._current:
            print("" if self._current is None else "\n", result.request.prompt, sep="", end="")
            self._current = result
        print(piece, end="" if result.finish_reason is None else "\n", flush=True)

    def close(self) -> None:
        """Nothing to close."""


class JsonLines:
    """A JSON object a continuation: `number` and `sample` (from 0), `prompt`, `text`, `ids`, `finish_reason`.

    UserError where the file cannot be made or grow; what is in it then is whole lines.
    """

    def __init__(self, path: str):
        self.path, self._whole = path, 0
        with self._naming():
            self._file = open(path, "wb", buffering=0)  # a buffer would be written again at the interpreter's end

    def add(self, result: Continuation, piece: str) -> None:
        if result.finish_reason is None:
            return
        record = {
            "number": result.request.number,
            "sample": result.request.sample,
            "prompt": result.request.prompt,
            "text": result.text,
            "ids": result.ids,
            "finish_reason": result.finish_reason,
        }
        with self._naming():
            self._append((json.dumps(record, ensure_ascii=False) + "\n").encode())

    def _append(self, line: bytes) -> None:
        left = memoryview(line)
        try:
            while left:  # a full disk takes a part first, and refuses the rest
                left = left[self._file.write(left) :]
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(self._whole)
            raise
        self._whole += len(line)

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"--output {self.path}: cannot be written: {error.strerror or error}; name another file, or make room"
            ) from None

    def close(self) -> None:
        with self._naming():
            self._file.close()


def told(tokens: int, texts: int, seconds: float) -> None:
    """How fast it went, on stderr."""
    rate = tokens / max(seconds, 1e-9)
    print(f"{tokens:,} tokens in {texts:,} text(s), {seconds:.1f} s: {rate:,.1f} tokens/s", file=sys.stderr, flush=True)
