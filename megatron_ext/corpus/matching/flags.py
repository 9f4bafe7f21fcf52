"""Flags of deduplication that hold for all its ways."""

from __future__ import annotations

import glob
import os

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem, UserError
from megatron_ext.arguments.registry import Registry
from megatron_ext.corpus.flags import READERS
from megatron_ext.corpus.inputs import expand, format_of

WAYS = Registry("megatron_ext.corpus.dedup")
DIFFERENCES = ("unicode", "case", "punctuation", "whitespace")


@flag_group("dedup", "What is there twice")
class DedupFlags:
    dedup: tuple[str, ...] = flag((), "ways to find duplicates, behind the rules and in this order", choices=WAYS, front=True)
    dedup_priority: tuple[str, ...] = flag(
        (), "sources whose copies stay, the most preferred first (default: of copies the first in the corpus stays)", front=True
    )
    dedup_against: tuple[str, ...] = flag(
        (), "a corpus that is clean already: its folder, files or patterns. What is in it counts as seen", front=True
    )
    dedup_ignore: tuple[str, ...] = flag(
        DIFFERENCES, "differences between copies that do not count (unicode: NFKC and what is never seen)", choices=DIFFERENCES
    )
    dedup_min_left: int = flag(100, "characters that must be left of a document of which pieces were cut out", least=0)
    dedup_memory: float = flag(2.0, "GB for a job that looks at the whole corpus; the less, the more such jobs", positive=True)
    keep_work: bool = flag(False, "keep what lies between the stages, OUTPUT/work, so that a run with more input does less anew")

    @staticmethod
    def check(c):
        for option, names, what in (("--dedup", c.dedup, "way"), ("--dedup-priority", c.dedup_priority, "source")):
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                yield Problem(option, twice, "is given twice", f"name each {what} once")
        for name in ("dedup_priority", "dedup_against"):
            if getattr(c, name) and not c.dedup:
                yield Problem(
                    "--" + name.replace("_", "-"), None, "says how duplicates are found, and none are looked for", "add --dedup"
                )
        for pattern in c.dedup_against:
            try:
                files = files_of(pattern)
            except UserError as error:
                yield Problem("--dedup-against", None, str(error))
                continue
            if not files:
                yield Problem("--dedup-against", pattern, "matches no file and holds no part-*.jsonl")
            for file in files:
                if format_of(file, READERS) is None:
                    yield Problem("--dedup-against", file, "has an ending of no known format", "give JSON lines, Parquet …")
                    break


def files_of(pattern: str) -> list[str]:
    """The files of a folder that a run made, or those that a pattern names."""
    return expand(os.path.join(glob.escape(pattern), "part-*")) if os.path.isdir(pattern) else expand(pattern)


def groups() -> list[type]:
    """Those that hold for all ways, and each one's own."""
    return [DedupFlags, *(WAYS.load(name).Flags for name in WAYS)]
