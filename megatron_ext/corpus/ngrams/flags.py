"""Flags of tools/train_ngram.py."""

from __future__ import annotations

import os

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem
from megatron_ext.corpus.ngrams.estimate import LARGEST_ORDER
from megatron_ext.corpus.ngrams.units import UNITS


@flag_group("ngrams", "What is learned")
class TrainNgramFlags:
    output: str | None = flag(None, "the model's file, MODEL.arpa; MODEL.arpa.json is written beside it", front=True)
    order: int = flag(5, "words of the longest n-gram", least=2, most=LARGEST_ORDER, front=True)
    units: str = flag("words", "what n-grams are made of", choices=UNITS, front=True)
    tokenizer: str | None = flag(None, "tokenizer.json or SentencePiece model that cuts --units pieces", front=True)
    normalize: bool = flag(True, "lower case, and 0 for every digit")
    prune: tuple[int, ...] = flag(
        (),
        "by order, how often n-grams occur that are left out, the last for all above: 0 0 1 leaves out trigrams seen once",
        least=0,
    )
    most_words: int = flag(5_000_000, "different words that are told apart; those seen first after so many are unknown", least=1)
    memory: int = flag(1000, "MB in which n-grams are sorted; the rest goes to disk, beside the output", least=1, front=True)
    json_key: str = flag("text", "where the text lies in a record", front=True)
    language: str | None = flag(None, "the texts' language; the model is asked about documents of this `language` only")
    percentile_input: tuple[str, ...] = flag(
        (), "files whose perplexities make the percentiles, best some of what will be filtered (default: held-out documents)"
    )
    held_out_every: int = flag(20, "of so many documents one is not learned from, for the percentiles", least=2)

    @staticmethod
    def check(c):
        if c.output is None:
            yield Problem("--output", None, "is missing", "name the model's file, such as model.arpa")
        elif os.path.isdir(c.output):
            yield Problem("--output", c.output, "is a folder", "name a file, such as model.arpa")
        if (c.units == "pieces") != (c.tokenizer is not None):
            reason, way_out = "has no effect without --units pieces", "leave it out"
            if c.tokenizer is None:
                reason, way_out = "is missing for --units pieces", "give a tokenizer.json or a SentencePiece model"
            yield Problem("--tokenizer", c.tokenizer, reason, way_out)
        elif c.tokenizer is not None and not os.path.isfile(c.tokenizer):
            yield Problem("--tokenizer", c.tokenizer, "is not there")
        if len(c.prune) > c.order:
            yield Problem("--prune", _typed(c.prune), f"has more numbers than --order {c.order}")
        if c.prune[:1] not in ((), (0,)) or list(c.prune) != sorted(c.prune):
            reason = "an n-gram would be there without its shorter ones"
            yield Problem("--prune", _typed(c.prune), reason, "begin with 0 (words stay) and never go down")
        for path in c.percentile_input:
            if not os.path.isfile(path):
                yield Problem("--percentile-input", path, "is not there")


def _typed(numbers: tuple[int, ...]) -> str:
    return " ".join(map(str, numbers))
