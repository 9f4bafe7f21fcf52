#!/usr/bin/env python3
"""Tokenizers beside each other on the same texts: how short they make text of each source, what they lose, how fast they are.

python tools/compare_tokenizers.py --tokenizers ours=runs/tok gpt2=gpt2/tokenizer.json llama.model cl100k_base.tiktoken \
    --input english=a.jsonl chinese=b.jsonl.zst 'code=src/**/*.py' --json compared.json --picture compared.svg
"""

from __future__ import annotations

import json
import pathlib
import sys
from collections.abc import Sequence

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import exit_status
from megatron_ext.evaluation.tokenizers.flags import ComparisonFlags, SourceFlags

PROGRAM = "compare_tokenizers.py"
ABOUT = "Tokenizers of every kind beside each other on the same texts, by source: compression, fertility, losses, entropy, speed."

WIDTH = 200
"""Characters of a line where what is printed goes to no terminal, which would have a width."""


def main(argv: Sequence[str]) -> int:
    return exit_status(lambda: _compare(argv), PROGRAM, interrupted="nothing was written")


def _compare(argv: Sequence[str]) -> None:
    config = read([SourceFlags, ComparisonFlags], argv, PROGRAM, ABOUT)
    from rich.console import Console

    from megatron_ext.corpus.whole_file import WholeFile, write_whole
    from megatron_ext.evaluation.tokenizers import picture, report
    from megatron_ext.evaluation.tokenizers.compare import compare

    asked = config.comparison
    for path in filter(None, (asked.json, asked.markdown, asked.picture)):
        WholeFile(path).discard()  # find out now whether it can be written
    found = compare(config.input, asked)
    tables = report.tables(found, asked.renyi_alpha, asked.hidden_size)
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    for table in tables:
        console.print(report.for_terminal(table))
    for line in report.losses(found):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if found.rejected:
        print(f"{found.rejected:,} records were passed over; tools/preprocess_data.py names them")
    if asked.json is not None:
        content = report.as_json(found, asked.renyi_alpha, asked.hidden_size)
        write_whole(asked.json, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    if asked.markdown is not None:
        write_whole(asked.markdown, report.markdown(tables))
    if asked.picture is not None:
        write_whole(asked.picture, picture.picture(found, asked.renyi_alpha))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
