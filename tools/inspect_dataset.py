#!/usr/bin/env python3
"""What is in a `.bin/.idx` pair: its counts and tokenizer, documents as text, statistics, and whether it is whole.

python tools/inspect_dataset.py data/corpus_text_document --document 0 17
python tools/inspect_dataset.py data/corpus_text_document --verify --statistics --checksum --json
"""

from __future__ import annotations

import json
import pathlib
import sys
from collections.abc import Sequence

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import UserError, exit_status
from megatron_ext.data.inspection.flags import InspectFlags, OptionalTokenizerFlags

PROGRAM = "inspect_dataset.py"
ABOUT = "Shows what is in a .bin/.idx pair: python tools/inspect_dataset.py PREFIX --document 0"


def main(argv: Sequence[str]) -> int:
    if argv and not argv[0].startswith("-"):
        argv = ["--data-path", *argv]
    return exit_status(lambda: _inspect(read([InspectFlags, OptionalTokenizerFlags], argv, PROGRAM, ABOUT)), PROGRAM)


def _inspect(config) -> None:
    from megatron_ext.data.inspection.inspect import inspect, lines

    flags = config.inspection
    found = inspect(flags, config.tokenizer)
    if flags.json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        for what, how_much in lines(found):
            print(f"{what:>20}  {how_much}" if what else how_much)
    if found.get("damage") is not None:
        raise UserError(f"--data-path {flags.data_path}: is damaged: {found['damage']}; run tools/preprocess_data.py again")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
