"""All files that a run writes: complete on disk before the first of them gets its name."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import Any

from megatron_ext.corpus.whole_file import WholeFile
from megatron_ext.data.indexed_writer import IndexedWriter, token_dtype
from megatron_ext.data.preprocess.encoding import Encoded


def names(prefix: str, keys: Sequence[str]) -> list[str]:
    """What a run writes, so that it does not read it."""
    pairs = [f"{prefix}_{key}_document.{end}" for key in keys for end in ("bin", "idx", "json")]
    return [*pairs, prefix + "_rejects.jsonl", prefix + "_summary.json"]


class Outputs:
    """PREFIX_KEY_document.bin, .idx and .json for each key, PREFIX_rejects.jsonl, PREFIX_summary.json. A context manager
    that removes whatever was not published."""

    def __init__(self, prefix: str, keys: Sequence[str], vocab_size: int):
        self._made = contextlib.ExitStack()
        with contextlib.ExitStack() as undo:  # of a partial start: the second file cannot be opened
            undo.push(self._made)
            self._writers = [self._make(IndexedWriter(f"{prefix}_{key}_document", token_dtype(vocab_size))) for key in keys]
            self._rejects = self._make(WholeFile(prefix + "_rejects.jsonl"))
            self._summary = self._make(WholeFile(prefix + "_summary.json"))
            undo.pop_all()

    def _make(self, file: Any) -> Any:
        self._made.callback(file.discard)
        return file

    def add(self, batch: Encoded) -> None:
        for writer, (tokens, lengths) in zip(self._writers, batch.columns):
            writer.add(tokens, lengths)
        for line in batch.rejects:
            self._rejects.write(json.dumps(line).encode() + b"\n")

    def publish(self, summary: dict, source: dict) -> None:
        """Write the summary, complete all files, then give them their names.

        Args:
            source: how the tokens were made (`sidecar.source`).
        """
        self._summary.write(json.dumps(summary, indent=1).encode() + b"\n")
        for writer in self._writers:
            writer.seal(source)
        files = [self._rejects, self._summary]
        for file in files:
            file.seal()
        for file in (*files, *self._writers):
            file.publish()

    def __enter__(self) -> Outputs:
        return self

    def __exit__(self, *error: Any) -> None:
        self._made.close()
