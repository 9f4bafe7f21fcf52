"""A small corpus through a way to find duplicates, in this process: what is kept, and what is not and why."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from tests.corpus.engine import runs


class Case:
    """Args: shards: documents of each file, as texts or records."""

    def __init__(self, folder: pathlib.Path, shards: Sequence[Sequence[str | dict]], *flags: object):
        self.records: list[dict] = []
        for number, shard in enumerate(shards):
            records = [{"text": one} if isinstance(one, str) else one for one in shard]
            records = [{"id": f"{number}-{place}", "source": "web"} | record for place, record in enumerate(records)]
            runs.write(folder / "in" / f"{number:03d}.jsonl", records)
            self.records += records
        self.flags = ["--input", folder / "in" / "*.jsonl", "--output", folder / "out", *flags]
        self.out = runs.here(*self.flags)

    @property
    def kept(self) -> list[dict]:
        return runs.kept(self.out)

    def ids(self) -> list[str]:
        return [record["id"] for record in self.kept]

    def gone(self, way: str) -> dict[str, str]:
        """Why documents were dropped, by id."""
        return {line["id"]: line["detail"] for line in runs.rejects(self.out, way)}
