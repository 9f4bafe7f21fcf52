"""Learning from words and their counts, against sentencepiece's own learning from sentences."""

import io
import re

import pytest
import sentencepiece

from megatron_ext.tokenizers.flags import TrainTokenizerFlags
from megatron_ext.tokenizers.training import _sentencepiece
from tests import texts

LINES = [line for text in texts.library_texts() for line in text.split("\n") if line and "\t" not in line]


def test_bpe_is_the_one_that_sentencepiece_learns_from_the_sentences():
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES),
        model_writer=written,
        model_type="bpe",
        vocab_size=800,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        byte_fallback=True,
        split_digits=True,
        character_coverage=0.9995,
        eos_id=0,
        eos_piece="<|endoftext|>",
        unk_id=1,
        bos_id=-1,
        pad_id=-1,
        minloglevel=2,
    )
    ours = _sentencepiece.train(LINES, TrainTokenizerFlags(vocab_size=800), "bpe")["tokenizer.model"]
    assert _sentencepiece.pieces(ours) == _sentencepiece.pieces(written.getvalue())


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_ids_are_those_of_sentencepiece_itself(kind, tmp_path):
    contents = texts.learned(f"sentencepiece_{kind}")
    ours = texts.load(contents, tmp_path)
    theirs = sentencepiece.SentencePieceProcessor(model_proto=contents["tokenizer.model"])
    for text in (*texts.library_texts(), *texts.HARD):
        assert ours.encode(text) == theirs.encode(text)
    assert theirs.eos_id() == 0 and theirs.bos_id() == -1


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_nothing_is_left_out_of_what_sentencepiece_would_pass_over(kind, tmp_path):
    """Long lines, several lines, text beside a tab, NUL, what its trainer has a use for: each with a letter of its own."""
    beside = {
        "α": "some filler words in a line " * 1000,
        "β": "one\ntwo\n\n",
        "γ": "a\tb\t",
        "δ": "nul \0 ",
        "ε": "\u2581 ",
        "ζ": "\u2585 ",
        "η": "<unk> <0x41> <|endoftext|> ",
        "θ": "x" * 5000,
        "ι": " " * 5000,
    }
    found = [f"{text} {letter} and the words of a sentence" for letter, text in beside.items() for _ in range(5)]
    flags = TrainTokenizerFlags(vocab_size=330, character_coverage=1.0)
    tokenizer = texts.load(_sentencepiece.train(found, flags, kind), tmp_path)
    assert all(len(tokenizer.encode(letter)) == 1 for letter in beside)
    plain = dict(model_type=kind, vocab_size=330, character_coverage=1.0, byte_fallback=True, hard_vocab_limit=False)
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(found), model_writer=written, minloglevel=3, **plain)
    theirs = {piece for piece, _ in _sentencepiece.pieces(written.getvalue())}
    assert not {"α", "ζ", "θ", "ι"} & theirs  # so there is something to be lost


def test_words_are_the_text_but_for_what_sentencepiece_has_a_use_for():
    for text in (*texts.HARD, *texts.library_texts(), "a\tb\0c\u2581d\u2585e" + " " * 200 + "x" * 3000):
        assert "".join(_sentencepiece._WORD.findall(text)) == re.sub("[\t\0\u2581\u2585]", "", text)


def test_line_breaks_are_learned():
    found = {piece for piece, _ in _sentencepiece.pieces(texts.learned("sentencepiece_bpe")["tokenizer.model"])}
    assert ":\n" in found


def test_the_order_of_words_changes_nothing():
    words = {"aa": 3, " ab": 5, " abc": 2, "\n": 4}
    made = [
        _sentencepiece.learn(order, model_type="bpe", vocab_size=12, character_coverage=1.0, eos_id=-1, unk_id=0)
        for order in (words.items(), reversed(words.items()))
    ]
    assert made[0] == made[1]
