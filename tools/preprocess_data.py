#!/usr/bin/env python3
"""Text files to the `.bin/.idx` pair that training reads.

python tools/preprocess_data.py --input 'data/*.jsonl.gz' --output-prefix data/corpus --tokenizer-model tok/tokenizer.json \
    --append-eod --workers 8
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence
from types import SimpleNamespace

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import exit_status
from megatron_ext.corpus.cleaning.flags import groups as cleaning_groups
from megatron_ext.corpus.cleaning.recipe import ABOUT as ABOUT_RECIPES
from megatron_ext.corpus.cleaning.recipe import as_config
from megatron_ext.corpus.flags import DocumentFlags, InputFlags
from megatron_ext.corpus.matching.flags import groups as dedup_groups
from megatron_ext.data.preprocess.flags import PreprocessFlags
from megatron_ext.tokenizers.flags import TokenizerFlags

PROGRAM = "preprocess_data.py"
ABOUT = "Text (JSON lines, Parquet, plain text; .gz and .zst too) to the .bin/.idx pair that training reads with --data-path.\n"
ABOUT += "--filters and --scrub clean it on the way. " + ABOUT_RECIPES


def main(argv: Sequence[str]) -> int:
    return exit_status(lambda: _preprocess(as_config(argv)), PROGRAM, interrupted="no .bin and .idx were written")


def _preprocess(argv: Sequence[str]) -> None:
    every = [InputFlags, TokenizerFlags, PreprocessFlags, DocumentFlags, *cleaning_groups(), *dedup_groups()]
    config = read(every, argv, PROGRAM, ABOUT)
    print(*config.notes, sep="\n", end="\n" * bool(config.notes), flush=True)
    from megatron_ext.data.preprocess.pipeline import deduplicated, preprocess

    cleans = config.cleaning.filters or config.decontamination.decontaminate or config.sensitive.scrub
    cleaning = SimpleNamespace(**config.flat()) if cleans else None
    source, receipt = config.input, f"{config.output.output_prefix}_receipt.html"
    if config.dedup.dedup:
        source, warnings = deduplicated(config)
        cleaning, receipt = None, f"{config.output.output_prefix}_corpus/receipt.html"
        for warning in warnings:
            print(f"{'warning':>10}  {warning}", file=sys.stderr)
    totals = preprocess(source, config.tokenizer, config.output, cleaning)
    for what, how_much in totals.lines():
        print(f"{what:>10}  {how_much}")
    if not config.output.append_eod:
        print(f"{'note':>10}  documents do not end with the end-of-document token; --append-eod adds it")
    for warning in totals.warnings:
        print(f"{'warning':>10}  {warning}", file=sys.stderr)
    if cleans or config.dedup.dedup:
        print(f"{'receipt':>10}  {receipt}")
    for key in config.output.json_keys:
        print(f"{'written':>10}  --data-path {config.output.output_prefix}_{key}_document")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
