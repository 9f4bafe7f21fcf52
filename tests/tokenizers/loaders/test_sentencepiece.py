"""Against sentencepiece itself."""

import pytest
import sentencepiece

from megatron_ext.arguments.problems import UserError
from megatron_ext.tokenizers.loaders.sentencepiece import SentencePieceTokenizer
from tests import texts


def load(folder, eod_token=None, **settings):
    file = folder / "tokenizer.model"
    file.write_bytes(texts.sentencepiece_model(**settings))
    return SentencePieceTokenizer(file, eod_token), sentencepiece.SentencePieceProcessor(model_file=str(file))


def test_ids_are_those_of_sentencepiece(tmp_path):
    ours, theirs = load(tmp_path)
    for text in (*texts.library_texts(), *texts.HARD):
        assert ours.encode(text) == theirs.encode(text)
    assert (ours.eod, ours.vocab_size) == (theirs.eos_id(), theirs.vocab_size())


def test_a_models_own_end_goes_before_known_names_and_the_flag_before_both(tmp_path):
    ours, theirs = load(tmp_path, control_symbols="<|endoftext|>")
    assert ours.eod == theirs.eos_id()
    ours, theirs = load(tmp_path, "<|endoftext|>", control_symbols="<|endoftext|>")
    assert ours.eod == theirs.piece_to_id("<|endoftext|>")


def test_a_model_without_an_end_needs_the_flag(tmp_path):
    with pytest.raises(UserError, match="--eod-token"):
        load(tmp_path, eos_id=-1)


def test_a_piece_that_text_can_make_cannot_end_documents(tmp_path):
    with pytest.raises(UserError, match="no control token"):
        load(tmp_path, "<end>", user_defined_symbols="<end>")


def test_unknown_and_control_pieces_stand_for_no_bytes(tmp_path):
    ours, theirs = load(tmp_path, byte_fallback=False)
    sizes = ours.token_bytes()
    assert [sizes[token] for token in (theirs.unk_id(), theirs.bos_id(), theirs.eos_id())] == [0, 0, 0]
    assert theirs.unk_id() in ours.encode("中")


def test_a_broken_file_is_one_sentence(tmp_path):
    file = tmp_path / "x.model"
    file.write_bytes(texts.sentencepiece_model()[:1000])
    with pytest.raises(UserError, match="is not a SentencePiece model"):
        SentencePieceTokenizer(file)


def test_u2581_in_a_text_is_no_space_where_that_can_be(tmp_path):
    """sentencepiece itself makes it one; a model with a space before each text is left alone."""
    text = "\u2581a b\u2581\u2581 c\u2581"
    ours, theirs = load(tmp_path, add_dummy_prefix=False)
    assert theirs.decode(theirs.encode(text)) == text.replace("\u2581", " ")
    assert ours.decode(ours.encode(text)) == text == ours.decode(ours.encode_batch(["x", text])[1])
    assert ours.token_bytes()[ours.encode(text)].sum() == len(text.encode())
    ours, theirs = load(tmp_path)
    assert ours.encode(text) == theirs.encode(text)
