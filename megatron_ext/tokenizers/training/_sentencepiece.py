"""Learning with sentencepiece: from words and their counts instead of sentences.

Its trainer takes sentences, and leaves out what has more than 4,192 bytes and what follows a line break at the end; it then
splits at spaces and counts words. Here the words are counted first, so that nothing is left out and memory holds each word once.
The BPE is the one that sentencepiece learns from the sentences. Unigram's first candidates it takes from the sentences, and here
from the distinct words. With line breaks among what is learned, both write 7 % more held-out text a token than if they learn
from lines (`tools/benchmark.py train_tokenizer --megabytes 3`).

Two things of sentencepiece's remain: a tab is always a token of its own, and a piece has at most 16 characters.
"""

from __future__ import annotations

import collections
import io
import re
import struct
from collections.abc import Iterable
from typing import Any

import sentencepiece

from megatron_ext.arguments.problems import UserError
from megatron_ext.tokenizers.flags import TrainTokenizerFlags, control_names
from megatron_ext.tokenizers.special_tokens import UNKNOWN, reserved
from megatron_ext.tokenizers.training import _text

# A word begins with its spaces. Not in words: what sentencepiece means something by (a space, a border, what is unknown).
_WORD = re.compile("(?: {0,64}[^ \t\0\u2581\u2585]{1,1000}| {1,64})")
_THREADS = 16  # not the machine's cores: sums of floats depend on it
_DOES = {"bpe": "merging pairs", "unigram": "fitting pieces by EM"}
_LOSSLESS = dict(normalization_rule_name="identity", add_dummy_prefix=False, remove_extra_whitespaces=False)


def train(texts: Iterable[str], flags: TrainTokenizerFlags, kind: str) -> dict[str, bytes]:
    """`tokenizer.model` of SentencePiece's `model_type` bpe or unigram, from `texts`, read once."""
    words = count(_text.then_say(texts, _DOES[kind]))
    if not words:
        raise UserError("the text holds nothing that SentencePiece learns from, but tabs, NUL, U+2581 and U+2585 alone")
    eod, unknown, *control = control_names(flags, UNKNOWN)
    try:
        model = learn(
            words.items(),
            model_type=kind,
            vocab_size=flags.vocab_size,
            character_coverage=flags.character_coverage,
            byte_fallback=flags.byte_fallback,
            split_digits=flags.split_digits,
            eos_id=0,
            eos_piece=eod,
            unk_id=1,
            unk_piece=unknown,
            control_symbols=control,
            required_chars="\u2581",  # a space in the vocabulary: were it rare, its bytes would come back as U+2581
        )
    except RuntimeError as error:
        raise UserError(_too_small(str(error), flags)) from None
    entries = len(pieces(model))
    return {"tokenizer.model": model + b"".join(map(_control_piece, reserved(entries, flags.vocab_size_multiple)))}


def count(texts: Iterable[str]) -> collections.Counter[str]:
    """How often each word occurs."""
    return collections.Counter(word for text in texts for word in _WORD.findall(text))


def learn(words: Iterable[tuple[str, int]], **settings: Any) -> bytes:
    """A model learned from words and their counts, whatever their order. RuntimeError: sentencepiece's own words."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(f"{word}\t{count}" for word, count in sorted(words)),
        input_format="tsv",
        model_writer=written,
        bos_id=-1,
        pad_id=-1,
        max_sentence_length=2**30,
        hard_vocab_limit=False,
        allow_whitespace_only_pieces=True,
        num_threads=_THREADS,
        minloglevel=2,
        **_LOSSLESS,
        **settings,
    )
    return written.getvalue()


def pieces(model: bytes) -> list[tuple[str, float]]:
    """Its pieces with their scores, in the order of their ids."""
    loaded = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [(loaded.id_to_piece(number), loaded.get_score(number)) for number in range(loaded.get_piece_size())]


def _control_piece(name: str) -> bytes:
    """A further control piece in the model's protobuf: fields of one message that stand behind others count among them."""
    piece = _field(1, name.encode()) + b"\x15" + struct.pack("<f", 0.0) + b"\x18\x03"
    return _field(1, piece)


def _field(number: int, content: bytes) -> bytes:
    assert len(content) < 128  # one byte of length
    return bytes([number << 3 | 2, len(content)]) + content


def _too_small(said: str, flags: TrainTokenizerFlags) -> str:
    found = re.search(r"smaller than required_chars\. (\d+) vs (\d+)", said)
    if found is None:
        return f"sentencepiece cannot learn from this text ({said.strip()})"
    return (
        f"--vocab-size {flags.vocab_size}: is too small for the text's characters, control tokens and bytes, {found[2]} in all; "
        f"give more, or a --character-coverage below {flags.character_coverage}"
    )
