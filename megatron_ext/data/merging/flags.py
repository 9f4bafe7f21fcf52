"""Flags of tools/merge_datasets.py (Megatron-LM's names)."""

from __future__ import annotations

import os

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem


@flag_group("merging", "What is joined")
class MergeFlags:
    input: tuple[str, ...] = flag(
        (), "a folder, whose pairs are joined in the order of their names; or prefixes of pairs, joined as they stand", front=True
    )
    output_prefix: str | None = flag(None, "files are PREFIX.bin, .idx and .json", front=True)

    @staticmethod
    def check(c):
        if not c.input:
            yield Problem("--input", None, "is missing", "give a folder of pairs, or their prefixes")
        for prefix in c.input:
            if os.path.isdir(prefix) and len(c.input) > 1:
                yield Problem("--input", prefix, "is a folder among others", "give one folder, or prefixes alone")
            elif c.input.count(prefix) > 1:
                yield Problem("--input", prefix, "is given twice", "name each pair once")
                break
        if not c.output_prefix:
            yield Problem("--output-prefix", None, "is missing", "name the path with which the files written begin")
        elif os.path.isdir(c.output_prefix) or c.output_prefix.endswith("/"):
            yield Problem("--output-prefix", c.output_prefix, "is a folder", "add the beginning of a file's name")
