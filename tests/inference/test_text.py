"""Text that comes in tokens: pieces add up to the whole, characters are whole, stop words are found across every border."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.inference.text import INCOMPLETE, Decoder, StopWords
from megatron_ext.tokenizers.loaders.huggingface import HuggingFaceTokenizer
from megatron_ext.tokenizers.loaders.null import NullTokenizer
from megatron_ext.tokenizers.loaders.sentencepiece import SentencePieceTokenizer
from megatron_ext.tokenizers.loaders.tiktoken import TiktokenTokenizer
from tests import texts


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """Tokenizers by name, each loaded once."""
    folder = tmp_path_factory.mktemp("tokenizers")

    @functools.cache
    def load(name):
        path = folder / name
        if name == "byte_level":
            path.write_text(texts.byte_level_bpe_json())
            return HuggingFaceTokenizer(path)
        if name == "unigram":
            path.write_text(texts.unigram_json())
            return HuggingFaceTokenizer(path)
        if name == "sentencepiece":
            path.write_bytes(texts.sentencepiece_model())
            return SentencePieceTokenizer(path)
        path.write_bytes(texts.tiktoken_file())
        return TiktokenTokenizer(path, "gpt2")

    return load


def pieces(tokenizer, prompt, added):
    """`(pieces while they come, the rest)`."""
    decoder = Decoder(tokenizer, prompt)
    return [decoder.add(token) for token in added], decoder.rest()


@pytest.mark.parametrize("name", ["byte_level", "tiktoken"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_pieces_of_any_bytes_add_up(name, tokenizer, data):
    """Tokens at random: bytes that are no UTF-8, characters begun and never ended."""
    loaded = tokenizer(name)
    prompt = loaded.encode(data.draw(st.text(min_size=1, max_size=8)))
    added = data.draw(st.lists(st.integers(0, 300), max_size=40))
    came, rest = pieces(loaded, prompt, added)
    assert loaded.decode(prompt) + "".join(came) + rest == loaded.decode([*prompt, *added])


@pytest.mark.parametrize("name", ["byte_level", "unigram", "sentencepiece", "tiktoken"])
@pytest.mark.parametrize("text", texts.HARD[:9])
def test_pieces_of_text_add_up_and_hold_whole_characters(name, text, tokenizer):
    loaded = tokenizer(name)
    ids = loaded.encode("So: " + text)
    first = len(loaded.encode("So:"))
    came, rest = pieces(loaded, ids[:first], ids[first:])
    assert loaded.decode(ids[:first]) + "".join(came) + rest == loaded.decode(ids)
    assert not any(INCOMPLETE in piece for piece in came)


def test_numbers_of_the_null_tokenizer_come_with_their_spaces():
    assert pieces(NullTokenizer(100), [1, 2], [33, 4]) == ([" 33", " 4"], "")


def test_a_character_comes_once_it_is_whole(tokenizer):
    loaded = tokenizer("byte_level")
    ids = loaded.encode("中")
    assert len(ids) > 1
    came, rest = pieces(loaded, loaded.encode("a"), ids)
    assert came == [*[""] * (len(ids) - 1), "中"] and rest == ""
    came, rest = pieces(loaded, loaded.encode("a"), ids[:-1])
    assert set(came) == {""} and set(rest) == {INCOMPLETE}


def char_by_char(text, words):
    """The text before the stop word that is complete first; of two that end together the longer."""
    for end in range(len(text) + 1):
        complete = [len(word) for word in words if text[:end].endswith(word)]
        if complete:
            return text[: end - max(complete)], True
    return text, False


@given(
    parts=st.lists(st.text("abc", max_size=4), max_size=12),
    words=st.lists(st.text("abc", min_size=1, max_size=4), max_size=3),
)
def test_stop_words_are_found_however_the_text_is_cut(parts, words):
    stops, told, stopped = StopWords(words), "", False
    whole = "".join(parts)
    expected, expected_stop = char_by_char(whole, words)
    for number, part in enumerate(parts):
        certain, stopped = stops.add(part, last=number == len(parts) - 1)
        told += certain
        assert expected.startswith(told), "more was told than will stand"
        if stopped:
            break
    assert (told, stopped) == (expected, expected_stop)


def test_what_cannot_become_a_stop_word_is_not_held_back():
    stops = StopWords(["END", "\n\n"])
    assert [stops.add(part)[0] for part in ("one ", "E", "N", "d\n", "x")] == ["one ", "", "", "ENd", "\nx"]


def test_stop_word_of_several_bytes_across_tokens(tokenizer):
    loaded = tokenizer("byte_level")
    decoder, stops, told = Decoder(loaded, loaded.encode("a")), StopWords(["文。"]), ""
    for token in loaded.encode("中文，中文。然后"):
        certain, stopped = stops.add(decoder.add(token))
        told += certain
        if stopped:
            break
    assert told == "中文，中" and stopped
