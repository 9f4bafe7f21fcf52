r"""`--algorithm bpe`: byte pair encoding over characters (arXiv:1508.07909), with bytes for rare ones. Lossless with them.

As `byte_level_bpe.py`, text is split by LLaMA 3's rule and the most frequent pair becomes a token; but the alphabet is the
characters of the text, so that no token ends inside a character. Only the most frequent that make up `--character-coverage` get
an entry; others, and all that never occurred, are written as the bytes of their UTF-8 (`--byte-fallback`). A space stays a space
in the vocabulary, so that U+2581, which others write for it, is a character like any other.

Counting and merging are tokenizers' own (Rust, all cores). Ids: 0 ends a document, then control tokens, the 256 bytes, the
characters by code point, the merges in their order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

from megatron_ext.tokenizers.flags import TrainTokenizerFlags, control_names
from megatron_ext.tokenizers.special_tokens import UNKNOWN
from megatron_ext.tokenizers.training import _text
from megatron_ext.tokenizers.training._huggingface import LONGEST_TOKEN, MIN_FREQUENCY, folder, pattern

MODEL = "tokenizer.json"
FLAGS = ("split_digits", "byte_fallback", "character_coverage", "min_frequency")


def train(texts: Iterable[str], flags: TrainTokenizerFlags) -> dict[str, bytes]:
    """Learn from `texts`, read twice: characters are counted first. UserError: they do not fit into `--vocab-size`."""
    alphabet = _text.covering(_text.count_characters(texts), flags.character_coverage)
    unknown = None if flags.byte_fallback else UNKNOWN
    names = control_names(flags, unknown)
    bytes_ = list(_text.BYTES) if flags.byte_fallback else []
    _text.need_room(len(names) + len(bytes_) + len(alphabet), len(alphabet), flags)
    learned = tokenizers.Tokenizer(models.BPE(unk_token=unknown, byte_fallback=flags.byte_fallback))
    learned.pre_tokenizer = pre_tokenizers.Split(Regex(pattern(flags)), "isolated")
    learned.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    trainer = trainers.BpeTrainer(
        vocab_size=flags.vocab_size,
        min_frequency=flags.min_frequency or MIN_FREQUENCY,
        special_tokens=names + bytes_,  # of these it keeps the order; that bytes are no control tokens is said below
        initial_alphabet=sorted(alphabet),
        max_token_length=LONGEST_TOKEN,
        show_progress=False,
    )
    learned.train_from_iterator(_text.then_say(_parts(texts, alphabet, flags), "merging pairs"), trainer)
    config = json.loads(learned.to_str())
    config["added_tokens"] = [token for token in config["added_tokens"] if token["content"] not in bytes_]
    return folder(tokenizers.Tokenizer.from_str(json.dumps(config)), flags, unknown)


def _parts(texts: Iterable[str], alphabet: set[str], flags: TrainTokenizerFlags) -> Iterator[str]:
    rare, names = _text.others(alphabet), _text.names_in_text(flags)
    for text in texts:
        for part in rare.split(text):
            yield from _text.cut(part, names)
