"""metrics.jsonl: one JSON object a record, in the run's folder, appended and flushed at once."""

from __future__ import annotations

import json
import os
import pathlib

from megatron_ext.monitor.metrics import Record


class JsonLines:
    """The file of a run. A run that goes on from iteration k first drops what a killed one wrote after k."""

    def __init__(self, folder: str, iteration: int):
        self.path = pathlib.Path(folder) / "metrics.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            self._cut(iteration)
        self._file = open(self.path, "a", encoding="utf-8")

    def _cut(self, iteration: int) -> None:
        kept = [line for line in self.path.read_text(encoding="utf-8").splitlines() if _iteration(line) <= iteration]
        temporary = self.path.with_suffix(".jsonl.partial")
        temporary.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        os.replace(temporary, self.path)

    def write(self, record: Record) -> None:
        """NaN and infinity are written as Python and JavaScript's JSON5 read them, not dropped."""
        self._file.write(json.dumps(record.as_dict()) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _iteration(line: str) -> float:
    """The iteration of a line; infinity for one that a kill cut off."""
    try:
        return json.loads(line)["iteration"]
    except (ValueError, KeyError, TypeError):
        return float("inf")
