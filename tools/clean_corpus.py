#!/usr/bin/env python3
"""Raw text to clean text, with a receipt for every document that is dropped.

python tools/clean_corpus.py --recipe web_english --input 'raw/**/*.html' --output clean
python tools/clean_corpus.py --input 'raw/*.jsonl.gz' --output clean --filters language gopher_quality c4 --languages en zh \
    --scrub email phone_number
"""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Sequence

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a worker a core, and no matrices: its threads cost a tenth of a second each

PROGRAM = "clean_corpus.py"
ABOUT = "Raw text to clean text: rules that documents must pass, personal data taken out, a receipt of all that is dropped.\n"

# Workers import this file, too, so it imports only where it works.


def main(argv: Sequence[str]) -> int:
    from megatron_ext.arguments.problems import exit_status
    from megatron_ext.corpus.cleaning.recipe import as_config

    going_on = "what is done stays, and the same command goes on from there"
    return exit_status(lambda: _clean(as_config(argv)), PROGRAM, interrupted=going_on)


def _clean(argv: Sequence[str]) -> None:
    from megatron_ext.arguments.config import read
    from megatron_ext.corpus.cleaning.recipe import ABOUT as ABOUT_RECIPES
    from megatron_ext.corpus.engine.flags import groups

    config = read(groups(), argv, PROGRAM, ABOUT + ABOUT_RECIPES)
    from megatron_ext.corpus.engine.clean import clean, clean_some

    if config.engine.run_shard:
        clean_some(config, config.engine.run_stage, config.engine.run_shard)
        return
    done = clean(config)
    for what, how_much in done.lines():
        print(f"{what:>10}  {how_much}")
    for warning in done.warnings:
        print(f"{'warning':>10}  {warning}", file=sys.stderr)
    print(f"{'receipt':>10}  {config.engine.output}/receipt.html")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
