#!/usr/bin/env python3
"""Learn to tell good documents from bad ones, for `--filters classifier`: a model, and a JSON with its threshold and figures.

python tools/train_classifier.py --good 'wiki/*.jsonl.gz' --bad 'crawl/*.warc.gz' --output quality.bin
python tools/train_classifier.py --labelled train.csv --text-key comment_text --score-of bad --output toxicity.bin \
    --label-keys toxic severe_toxic obscene threat insult identity_hate --threshold-for precision --target 0.9
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence
from types import SimpleNamespace

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import exit_status
from megatron_ext.corpus.classifiers.flags import groups

PROGRAM = "train_classifier.py"
ABOUT = "Learn to tell good documents from bad ones (fastText, or a BERT-style encoder), for --filters classifier."


def main(argv: Sequence[str]) -> int:
    return exit_status(lambda: _train(argv), PROGRAM, interrupted="nothing was written")


def _train(argv: Sequence[str]) -> None:
    config = read(groups(), argv, PROGRAM, ABOUT)
    from megatron_ext.corpus.classifiers.train import train

    for what, how_much in train(SimpleNamespace(**config.flat())):
        print(f"{what:>12}  {how_much}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
