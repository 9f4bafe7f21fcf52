"""The fast encoding gives the ids of tokenizers, or there is none."""

import json

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

from megatron_ext.tokenizers.byte_alphabet import BYTE_OF
from megatron_ext.tokenizers.byte_level import fast_encoding
from megatron_ext.tokenizers.patterns import GPT2_PATTERN, PATTERNS
from tests import texts


def learned(pre_tokenizer, vocab_size=700):
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizer, decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<e>"], show_progress=False
    )
    tokenizer.train_from_iterator(texts.library_texts(), trainer)
    return tokenizer


def split_by(pattern):
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), byte_level])


def fast(tokenizer, **changes):
    """`fast_encoding` of a tokenizer, some of whose file is changed."""
    config = json.loads(tokenizer.to_str())
    config["model"].update(changes.pop("model", {}))
    config.update(changes)
    slow = tokenizers.Tokenizer.from_str(json.dumps(config))
    slow.encode_special_tokens = True
    return fast_encoding(config, slow)


GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def _same(pair, text):
    slow, quick = pair
    assert quick.encode(text) == slow.encode(text, add_special_tokens=False).ids


@pytest.fixture(scope="module", params=["gpt2", "llama3", "o200k"])
def pair(request):
    """The same tokenizer, slow and fast."""
    slow = learned(GPT2 if request.param == "gpt2" else split_by(PATTERNS[request.param]))
    slow.encode_special_tokens = True
    return slow, fast(slow)


@given(st.text(st.characters(exclude_categories=["Cs"])))
@settings(max_examples=120, deadline=None)
def test_same_ids_on_any_text(pair, text):
    _same(pair, text)


@given(st.text(st.sampled_from("aeinst AN'’s\n\t\r .,-_=()12½中é\u0301")))
@settings(max_examples=120, deadline=None)
def test_same_ids_on_text_of_many_merges(pair, text):
    _same(pair, text)


def test_same_ids_on_real_and_hard_text(pair):
    for text in (*texts.library_texts(120), *texts.HARD, "<e>"):
        _same(pair, text)


@pytest.mark.parametrize("step", [pytest.param(97, id="some"), pytest.param(1, id="all", marks=pytest.mark.full)])
def test_same_ids_around_every_character(pair, step):
    """The two packages have tables of Unicode of their own; here each character is seen in several surroundings."""
    codes = [*range(0, 0x32400, step), *range(0x32400, 0x110000, 997)]  # assigned ones, and a few of the empty planes
    characters = [chr(code) for code in codes if not 0xD800 <= code < 0xE000]
    for start in range(0, len(characters), 5000):
        part = characters[start : start + 5000]
        _same(pair, "".join(f"e{c}n 1{c}1 {c} '{c} .{c}.\n{c}\n" for c in part))


def test_no_fast_encoding_where_a_token_is_not_reached_by_its_merges():
    """abc is made of a + bc, but ab is merged first: tokenizers never gives abc, tiktoken would look it up."""
    vocab = {character: place for place, character in enumerate(sorted(BYTE_OF))}
    for token in ("ab", "bc", "abc"):
        vocab[token] = len(vocab)
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab, [("a", "b"), ("b", "c"), ("a", "bc")]))
    tokenizer.pre_tokenizer = GPT2
    assert tokenizer.encode("abc").tokens == ["ab", "c"]
    assert fast(tokenizer) is None


SPACES = dict(id=700, content="  ", special=False, single_word=False, lstrip=False, rstrip=False, normalized=False)


@pytest.mark.parametrize(
    "change",
    [
        dict(normalizer={"type": "NFC"}),
        dict(pre_tokenizer={"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}),
        dict(pre_tokenizer={"type": "Whitespace"}),
        dict(model={"byte_fallback": True}),
        dict(model={"end_of_word_suffix": "~"}),
        dict(added_tokens=[SPACES]),
    ],
)
def test_no_fast_encoding_where_more_is_done_than_merging(change):
    assert fast(learned(GPT2)) is not None
    assert fast(learned(GPT2), **change) is None


def test_no_fast_encoding_where_ids_are_not_in_the_order_of_merges():
    tokenizer = learned(GPT2)
    vocab = json.loads(tokenizer.to_str())["model"]["vocab"]
    last, before = sorted(vocab, key=vocab.get)[-1], sorted(vocab, key=vocab.get)[-2]
    vocab[last], vocab[before] = vocab[before], vocab[last]
    assert fast(tokenizer, model={"vocab": vocab}) is None


def test_ignore_merges_is_no_hindrance():
    """As in Llama 3's file: whole pieces are looked up first, which is what tiktoken does."""
    tokenizer = learned(split_by(PATTERNS["llama3"]))
    config = json.loads(tokenizer.to_str())
    config["model"]["ignore_merges"] = True
    slow = tokenizers.Tokenizer.from_str(json.dumps(config))
    quick = fast_encoding(config, slow)
    assert slow.model.ignore_merges
    for text in texts.library_texts():
        _same((slow, quick), text)


def test_gpt2s_pattern_is_the_one_of_byte_level():
    slow = learned(GPT2)
    other = tokenizers.Tokenizer.from_str(slow.to_str())
    other.pre_tokenizer = split_by(GPT2_PATTERN)
    for text in (*texts.library_texts(), *texts.HARD):
        assert slow.encode(text).ids == other.encode(text).ids
