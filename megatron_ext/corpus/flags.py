"""Flags of what is read from: files, their format, and what a document is in plain text."""

from __future__ import annotations

import os

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem
from megatron_ext.arguments.registry import Registry
from megatron_ext.corpus.inputs import expand, format_of

READERS = Registry("megatron_ext.corpus.readers")


@flag_group("input", "What is read")
class InputFlags:
    input: tuple[str, ...] = flag((), "files, or patterns such as 'data/**/*.jsonl.gz'; .gz and .zst are read too", front=True)
    input_format: str | None = flag(None, "format of all files (default: by each file's ending)", choices=READERS)
    text_sample_by: str = flag(
        "document", "in plain text, what one document is (document: the file)", choices=("document", "paragraph", "line")
    )

    @staticmethod
    def check(c):
        if not c.input:
            yield Problem("--input", None, "is missing", "give files or patterns")
        seen = set()
        for pattern in c.input:
            files = expand(pattern)
            if not files:
                yield Problem("--input", pattern, "matches no file")
            for file in files:
                if file in seen:
                    yield Problem("--input", pattern, f"gives {file} a second time", "name each file once")
                    break
                if os.path.isdir(file):
                    yield Problem(
                        "--input", file, "is a folder", f"give files, or a pattern such as '{file.rstrip('/')}/*.jsonl'"
                    )
                    break
                if not os.access(file, os.R_OK):
                    yield Problem("--input", file, "cannot be read", "see to its permissions")
                    break
                if c.input_format is None and format_of(file, READERS) is None:
                    yield Problem("--input", file, "has an ending of no known format", "name it with --input-format")
                    break
            seen.update(files)
