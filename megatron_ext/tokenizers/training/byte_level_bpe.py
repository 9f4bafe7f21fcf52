r"""`--algorithm byte_level_bpe`: byte pair encoding over the bytes of UTF-8 (GPT-2; BPE: arXiv:1508.07909). Lossless.

Text is split by LLaMA 3's rule, then the most frequent pair of neighbours within the pieces becomes a token, until there
are `--vocab-size`. With `--split-digits` every digit is a piece of its own (LLaMA), without it a whole number is one.

Counting and merging are tokenizers' own (Rust, all cores). Ids: 0 ends a document, 1 to 256 are the bytes, then the merges
in their order, so that `byte_level.py` can encode by tiktoken.
"""

from __future__ import annotations

from collections.abc import Iterable

import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

from megatron_ext.tokenizers.flags import TrainTokenizerFlags
from megatron_ext.tokenizers.patterns import PATTERNS

LONGEST_TOKEN = 64
"""Bytes. Longer ones are rules of a table and the like, and cost a row of the embedding each."""


def train(texts: Iterable[str], flags: TrainTokenizerFlags) -> tokenizers.Tokenizer:
    """Learn from `texts`, read once. May end below `--vocab-size` where the texts hold too few pairs."""
    pattern = PATTERNS["llama3"].replace(r"\p{N}{1,3}", r"\p{N}" if flags.split_digits else r"\p{N}+")
    learned = tokenizers.Tokenizer(models.BPE())
    learned.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    learned.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=flags.vocab_size,
        min_frequency=flags.min_frequency,
        special_tokens=[flags.eod_token],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=LONGEST_TOKEN,
        show_progress=False,
    )
    learned.train_from_iterator(texts, trainer)
    return learned
