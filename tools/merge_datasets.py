#!/usr/bin/env python3
"""Several `.bin/.idx` pairs to one, such as those of the shards of a corpus.

python tools/merge_datasets.py --input data/shards --output-prefix data/corpus_text_document
python tools/merge_datasets.py --input data/web_text_document data/code_text_document --output-prefix data/all_text_document
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import exit_status
from megatron_ext.data.merging.flags import MergeFlags

PROGRAM = "merge_datasets.py"
ABOUT = "Joins .bin/.idx pairs end to end: a folder's in the order of their names, others as they are given."


def main(argv: Sequence[str]) -> int:
    work = lambda: _merge(read([MergeFlags], argv, PROGRAM, ABOUT).merging)
    return exit_status(work, PROGRAM, interrupted="no .bin and .idx were written")


def _merge(flags: MergeFlags) -> None:
    from megatron_ext.data.merging.merge import merge

    merged = merge(flags.input, flags.output_prefix)
    for prefix in merged.prefixes:
        print(f"{'read':>10}  {prefix}")
    print(f"{'documents':>10}  {merged.documents:,}, {merged.tokens:,} tokens as {merged.dtype}")
    for warning in merged.warnings:
        print(f"{'warning':>10}  {warning}", file=sys.stderr)
    print(f"{'written':>10}  --data-path {flags.output_prefix}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
