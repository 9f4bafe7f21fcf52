r"""`--algorithm unigram`: pieces with probabilities, and a text is split into the likeliest ones (arXiv:1804.10959).

$P(x_1 … x_n) = \prod_i p(x_i)$. EM fits $p$ for a great many substrings; then those whose loss hurts the likelihood least go,
until `--vocab-size` are left. Text is first split by LLaMA 3's rule, and no piece crosses the split. Rare characters are bytes,
as in `bpe.py`; a space stays a space.

EM is sentencepiece's, over the distinct words and their counts. Reason why it is not tokenizers' `UnigramTrainer`: that one goes
through a hash table in another order each time, so that its scores differ from run to run; and with 8,192 entries, none of them
bytes, it writes 3.07 bytes of held-out text a token, this one 3.39 (`tools/benchmark.py train_tokenizer --megabytes 3`).

Ids: 0 ends a document, 1 is what is unknown, then control tokens, the 256 bytes, the pieces from the likeliest on.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable

import regex
import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers

from megatron_ext.tokenizers.flags import TrainTokenizerFlags, control_names
from megatron_ext.tokenizers.special_tokens import UNKNOWN
from megatron_ext.tokenizers.training import _sentencepiece, _text
from megatron_ext.tokenizers.training._huggingface import folder, pattern

MODEL = "tokenizer.json"
FLAGS = ("split_digits", "byte_fallback", "character_coverage")

_DOES = "fitting pieces by EM"
# What means something to sentencepiece, and what it is written as while sentencepiece learns. Texts that hold the latter write
# them as bytes.
_STANDINS = {"\t": "\U000f0000", "\0": "\U000f0001", "\u2581": "\U000f0002", "\u2585": "\U000f0003"}
_THERE = str.maketrans(_STANDINS)
_BACK = str.maketrans({there: here for here, there in _STANDINS.items()} | {"\u2581": " "})


def train(texts: Iterable[str], flags: TrainTokenizerFlags) -> dict[str, bytes]:
    """Learn from `texts`, read once. UserError: their characters do not fit into `--vocab-size`."""
    split = regex.compile(pattern(flags))
    words = collections.Counter(word for text in _text.then_say(texts, _DOES) for word in split.findall(text))
    alphabet = _alphabet(words, flags)
    names = control_names(flags, UNKNOWN)
    bytes_ = _text.BYTES if flags.byte_fallback else ()
    fixed = len(names) + len(bytes_)
    _text.need_room(fixed + len(alphabet), len(alphabet), flags)
    pieces = _learn(_parts(words, alphabet, flags), flags.vocab_size - fixed)
    learned = tokenizers.Tokenizer(models.Unigram(_vocabulary(names, bytes_, pieces), names.index(UNKNOWN), flags.byte_fallback))
    learned.pre_tokenizer = pre_tokenizers.Split(Regex(pattern(flags)), "isolated")
    learned.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    learned.add_special_tokens(names)
    return folder(learned, flags, UNKNOWN)


def _alphabet(words: collections.Counter[str], flags: TrainTokenizerFlags) -> set[str]:
    counts: collections.Counter[str] = collections.Counter()
    for word, count in words.items():
        for character in word:
            counts[character] += count
    kept = _text.covering(counts, flags.character_coverage) - set(_STANDINS.values())
    # With an unknown character in it the text <0x41> would cost more than the byte of this name, and become it.
    return kept | set("".join(_text.BYTES)) if flags.byte_fallback else kept


def _parts(words: collections.Counter[str], alphabet: set[str], flags: TrainTokenizerFlags) -> collections.Counter[str]:
    """The words without rare characters, cut where a name would be."""
    rare, names = _text.others(alphabet), _text.names_in_text(flags)
    parts: collections.Counter[str] = collections.Counter(dict.fromkeys(alphabet, 1))
    for word, count in words.items():
        for part in rare.split(word):
            for whole in _text.cut(part, names):
                if whole:
                    parts[whole] += count
    return parts


def _learn(parts: collections.Counter[str], entries: int) -> list[tuple[str, float]]:
    """At most so many pieces with the logarithms of their probabilities, the likeliest first."""
    model = _sentencepiece.learn(
        ((part.translate(_THERE), count) for part, count in parts.items()),
        model_type="unigram",
        vocab_size=entries + 1,  # and what is unknown
        character_coverage=1.0,
        eos_id=-1,
        unk_id=0,
        split_by_whitespace=False,
        split_by_unicode_script=False,
        split_by_number=False,
    )
    return [(piece.translate(_BACK), score) for piece, score in _sentencepiece.pieces(model)[1:]]


def _vocabulary(names: list[str], bytes_: Iterable[str], pieces: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """A byte costs more than its name written as six characters, so that no text becomes a byte by its name."""
    byte = 8 * min(score for _, score in pieces)
    return [*((name, 0.0) for name in names), *((name, byte) for name in bytes_), *pieces]
