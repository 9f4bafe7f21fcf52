"""Where continuations go: the terminal, as they grow, or a file of JSON lines, as they end. Filled masks go there, too."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from megatron_ext.arguments.problems import UserError
from megatron_ext.inference.fill_mask import Filled
from megatron_ext.inference.generate import Continuation


class Terminal:
    """Each prompt with its continuation on stdout, an empty line between two; an answer that stands apart begins a line."""

    def __init__(self):
        self._current: Continuation | Filled | None = None

    def add(self, result: Continuation, piece: str) -> None:
        if result is not self._current:
            end = "\n" if result.request.apart else ""
            print("" if self._current is None else "\n", result.request.prompt, sep="", end=end)
            self._current = result
        print(piece, end="" if result.finish_reason is None else "\n", flush=True)

    def add_filled(self, result: Filled, decode: Callable[[Sequence[int]], str]) -> None:
        """The text, and below it a line a token: which mask's, its probability, the token."""
        print("" if self._current is None else "\n", result.request.prompt, sep="")
        for number, likely in enumerate(result.masks, 1):
            for token, share in likely:
                print(f"{number:4}  {share:.4f}  {decode([token])!r}", flush=True)
        self._current = result

    def close(self) -> None:
        """Nothing to close."""


class JsonLines:
    """A JSON object a continuation: `number` and `sample` (from 0), `prompt`, `text`, `ids`, `finish_reason`; where masks were
    filled `number`, `prompt`, and `masks`, of each a list of `token`, `id`, `probability`.

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
        self._write(record)

    def add_filled(self, result: Filled, decode: Callable[[Sequence[int]], str]) -> None:
        masks = [
            [{"token": decode([token]), "id": token, "probability": share} for token, share in likely] for likely in result.masks
        ]
        self._write({"number": result.request.number, "prompt": result.request.prompt, "masks": masks})

    def _write(self, record: dict[str, Any]) -> None:
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
