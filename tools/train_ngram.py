#!/usr/bin/env python3
"""Learn an n-gram language model from good text, for `--filters perplexity`: an ARPA file, smoothed by modified Kneser-Ney.

python tools/train_ngram.py --input 'wiki/*.jsonl.gz' --output en.arpa --language en --prune 0 0 1 \
    --percentile-input crawl/sample.jsonl
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import exit_status
from megatron_ext.corpus.flags import InputFlags
from megatron_ext.corpus.ngrams.flags import TrainNgramFlags

PROGRAM = "train_ngram.py"
ABOUT = (
    "Learn an n-gram language model (modified Kneser-Ney, ARPA) from text, with the percentiles that --filters perplexity reads."
)


def main(argv: Sequence[str]) -> int:
    return exit_status(lambda: _train(argv), PROGRAM, interrupted="nothing was written")


def _train(argv: Sequence[str]) -> None:
    config = read([InputFlags, TrainNgramFlags], argv, PROGRAM, ABOUT)
    from megatron_ext.corpus.ngrams.train import train

    for what, how_much in train(config.input, config.ngrams):
        print(f"{what:>12}  {how_much}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
