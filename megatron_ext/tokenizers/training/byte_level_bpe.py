r"""`--algorithm byte_level_bpe`: byte pair encoding over the bytes of UTF-8 (GPT-2; BPE: arXiv:1508.07909). Lossless.

Text is split by LLaMA 3's rule, then the most frequent pair of neighbours within the pieces becomes a token, until there
are `--vocab-size`. With `--split-digits` every digit is a piece of its own (LLaMA), without it a whole number is one.

Counting and merging are tokenizers' own (Rust, all cores). Ids: 0 ends a document, then other control
tokens, the 256 bytes, and the merges in their order, so that `byte_level.py` can encode by tiktoken.
"""

from __future__ import annotations

from collections.abc import Iterable

import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

from megatron_ext.tokenizers.flags import TrainTokenizerFlags, control_names
from megatron_ext.tokenizers.training import _text
from megatron_ext.tokenizers.training._huggingface import LONGEST_TOKEN, MIN_FREQUENCY, folder, pattern

MODEL = "tokenizer.json"
FLAGS = ("split_digits", "min_frequency")


def train(texts: Iterable[str], flags: TrainTokenizerFlags) -> dict[str, bytes]:
    """Learn from `texts`, read once. Ends below `--vocab-size` where the texts hold too few pairs."""
    learned = tokenizers.Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(pattern(flags)), "isolated")
    learned.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    learned.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=flags.vocab_size,
        min_frequency=flags.min_frequency or MIN_FREQUENCY,
        special_tokens=control_names(flags),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=LONGEST_TOKEN,
        show_progress=False,
    )
    names = _text.names_in_text(flags)
    parts = (part for text in texts for part in _text.cut(text, names))
    learned.train_from_iterator(_text.then_say(parts, "merging pairs"), trainer)
    return folder(learned, flags)
