"""How long merges take to learn: by count, beside tokenizers' BpeTrainer, and by ratio; and how long words take to count.

Seconds are of CPU, of all threads. tokenizers counts words and merges in one call; what it takes for merging is that call less
one with an empty vocabulary. Words are cut as `--algorithm byte_level_bpe` cuts them.
"""

from __future__ import annotations

import itertools
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from megatron_ext.benchmarks.corpus_text import size_of, texts


def run(flags) -> Iterator[tuple[str, str]]:
    """`(what, how much)`, line by line."""
    some = [each.text for each in texts(flags.input, flags.megabytes)]
    megabytes = size_of(some) / 1e6
    yield "texts", f"{len(some):,}, {megabytes:,.1f} MB"
    counts, seconds = _timed(lambda: _count(some))
    yield "words counted", f"{seconds:.1f} s, {megabytes / seconds:,.1f} MB/s; {len(counts):,} distinct"
    yield from _merging(counts, some, flags)
    yield "memory at most", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB"


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.process_time()
    return work(), time.process_time() - began


def _count(some: list[str]) -> Counter:
    import regex

    from megatron_ext.tokenizers.flags import TrainTokenizerFlags
    from megatron_ext.tokenizers.training._huggingface import pattern

    return Counter(itertools.chain.from_iterable(map(regex.compile(pattern(TrainTokenizerFlags())).findall, some)))


def _merging(counts: Counter, some: list[str], flags) -> Iterator[tuple[str, str]]:
    from megatron_ext.tokenizers.pair_merging import Words, learn
    from megatron_ext.tokenizers.training._huggingface import LONGEST_TOKEN

    words = Words.of_bytes({word.encode(): count for word, count in counts.items()})
    _, counting = _timed(lambda: _theirs(some, 257))
    yield "words counted, tokenizers", f"{counting:.1f} s"
    for size in flags.vocab_size:
        for score in ("count", "ratio"):
            found, seconds = _timed(
                lambda size=size, score=score: learn(
                    words, 256, size - 257, score=score, lengths=[1] * 256, longest=LONGEST_TOKEN
                )
            )
            yield f"{size:,}, by {score}", f"{seconds:.2f} s; {len(found.pairs):,} merges"
        _, seconds = _timed(lambda size=size: _theirs(some, size))
        yield f"{size:,}, by count, tokenizers", f"{seconds - counting:.2f} s"


def _theirs(some: list[str], size: int) -> None:
    from megatron_ext.tokenizers.flags import TrainTokenizerFlags
    from megatron_ext.tokenizers.training import byte_level_bpe

    byte_level_bpe.train(some, TrainTokenizerFlags(vocab_size=size))
