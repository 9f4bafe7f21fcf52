"""Where continuations go: the terminal, as they grow, or a file of JSON lines, as they end."""

from __future__ import annotations

import json
import sys

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
    """A JSON object a continuation: `number` and `sample` (from 0), `prompt`, `text`, `ids`, `finish_reason`."""

    def __init__(self, path: str):
        try:
            self._file = open(path, "w", encoding="utf-8")
        except OSError as error:
            raise UserError(f"--output {path}: cannot be written: {error.strerror}") from None

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
        self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def told(tokens: int, texts: int, seconds: float) -> None:
    """How fast it went, on stderr."""
    rate = tokens / max(seconds, 1e-9)
    print(f"{tokens:,} tokens in {texts:,} text(s), {seconds:.1f} s: {rate:,.1f} tokens/s", file=sys.stderr, flush=True)
