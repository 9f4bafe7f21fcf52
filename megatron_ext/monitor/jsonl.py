"""metrics.jsonl: one JSON object a record, in the run's folder, in whole lines, each there at once."""

from __future__ import annotations

import json
import pathlib

from megatron_ext.monitor.files import AppendedFile, write_whole
from megatron_ext.monitor.metrics import Record


class JsonLines:
    """The file of a run. A run that goes on from iteration k first drops what a killed one wrote after k.

    Attributes:
        last: the newest record of the run that goes on, if any.
    """

    def __init__(self, folder: str, iteration: int):
        self.path = pathlib.Path(folder) / "metrics.jsonl"
        self.name = str(self.path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in self._lines() if _iteration(line) <= iteration]
        if self.path.exists():
            self._put(kept)
        self.last = Record.of(json.loads(kept[-1])) if kept else None
        self._file = AppendedFile(self.path)

    def _lines(self) -> list[str]:
        return self.path.read_text(encoding="utf-8", errors="replace").splitlines() if self.path.exists() else []

    def _put(self, lines: list[str]) -> None:
        write_whole(self.path, "".join(line + "\n" for line in lines))

    def write(self, record: Record) -> None:
        """NaN and infinity are written as Python and JavaScript's JSON5 read them, not dropped."""
        self._file.write((_line(record) + "\n").encode())

    def replace_last(self, record: Record) -> None:
        """Put a record in place of `last`, before anything was written after it."""
        self._file.close()
        try:
            self._put([*self._lines()[:-1], _line(record)])
        finally:
            self._file = AppendedFile(self.path)

    def close(self) -> None:
        self._file.close()


def _line(record: Record) -> str:
    return json.dumps(record.as_dict())


def _iteration(line: str) -> float:
    """The iteration of a line; infinity for one that a kill cut off."""
    try:
        return float(json.loads(line)["iteration"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
