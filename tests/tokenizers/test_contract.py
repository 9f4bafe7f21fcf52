"""What holds for every tokenizer here: text is text, nothing is lost where nothing may be, bytes are counted right."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.arguments.problems import UserError
from megatron_ext.tokenizers.build import build
from megatron_ext.tokenizers.contract import digest, find_eod
from megatron_ext.tokenizers.flags import TokenizerFlags
from tests import texts

LOSSLESS = ("byte_level_bpe", "sentencepiece", "sentencepiece_without_prefix", "tiktoken", "megatron_tiktoken")


def make(kind, folder):
    """A tokenizer of each kind, through its flags."""
    content, name, more = {
        "byte_level_bpe": lambda: (texts.byte_level_bpe_json().encode(), "tokenizer.json", {}),
        "unigram": lambda: (texts.unigram_json().encode(), "tokenizer.json", {}),
        "sentencepiece": lambda: (texts.sentencepiece_model(), "tokenizer.model", {}),
        "sentencepiece_without_prefix": lambda: (texts.sentencepiece_model(add_dummy_prefix=False), "tokenizer.model", {}),
        "tiktoken": lambda: (texts.tiktoken_file(), "cl100k.tiktoken", {"tiktoken_pattern": "cl100k"}),
        "megatron_tiktoken": lambda: (texts.megatron_tiktoken_file(), "x.tiktoken.json", {"tiktoken_pattern": "v2"}),
    }[kind]()
    (folder / name).write_bytes(content)
    kinds = {"byte_level_bpe": "huggingface", "unigram": "huggingface", "megatron_tiktoken": "tiktoken"}
    kind = kinds.get(kind, kind.split("_")[0])
    return build(TokenizerFlags(tokenizer_type=kind, tokenizer_model=str(folder), **more))


@pytest.fixture(scope="module", params=LOSSLESS)
def lossless(request, tmp_path_factory):
    return make(request.param, tmp_path_factory.mktemp(request.param))


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\u2581")))
@settings(max_examples=150, deadline=None)
def test_nothing_is_lost_and_bytes_are_counted_exactly(lossless, text):
    ids = lossless.encode(text)
    assert lossless.decode(ids) == text
    if text:
        assert lossless.token_bytes()[ids].sum() == len(text.encode()) + lossless.prefix_bytes


@pytest.mark.parametrize("text", texts.HARD, ids=range(len(texts.HARD)))
def test_hard_texts(lossless, text):
    ids = lossless.encode(text)
    assert lossless.decode(ids) == text
    assert lossless.token_bytes()[ids].sum() == len(text.encode()) + lossless.prefix_bytes
    assert lossless.eod not in ids
    assert max(ids) < lossless.vocab_size


def test_the_batch_is_its_texts(lossless):
    assert lossless.encode_batch(texts.HARD) == [lossless.encode(text) for text in texts.HARD]
    assert lossless.encode_batch([]) == []


def test_the_end_of_a_document_stands_for_no_text(lossless):
    assert 0 <= lossless.eod < lossless.vocab_size
    assert lossless.token_bytes().shape == (lossless.vocab_size,)
    assert lossless.token_bytes()[lossless.eod] == 0
    assert lossless.decode([lossless.eod]) == ""


@pytest.mark.parametrize(("kind", "prefix"), [("sentencepiece", 1), ("sentencepiece_without_prefix", 0), ("byte_level_bpe", 0)])
def test_prefix_bytes(tmp_path, kind, prefix):
    assert make(kind, tmp_path).prefix_bytes == prefix


def test_fingerprints_differ_where_ids_may(tmp_path_factory):
    prints = {make(kind, tmp_path_factory.mktemp(kind)).fingerprint() for kind in (*LOSSLESS, "unigram")}
    assert len(prints) == len(LOSSLESS) + 1
    one, other = (make("byte_level_bpe", tmp_path_factory.mktemp("again")).fingerprint() for _ in range(2))
    assert one == other
    assert digest("ab", "c") != digest("a", "bc")


def test_the_end_token_is_the_one_asked_for_then_a_known_name_then_the_files_own():
    ids = {"</s>": 2, "<|endoftext|>": 5, "<x>": 9}
    assert find_eod(None, ids.get, "file") == 5
    assert find_eod("</s>", ids.get, "file") == 2
    assert find_eod(None, {}.get, "file", own=7) == 7
    with pytest.raises(UserError, match="no control token of this name"):
        find_eod("<y>", ids.get, "file")
    with pytest.raises(UserError, match="--eod-token"):
        find_eod(None, {}.get, "file")


@pytest.mark.parametrize(
    ("kind", "some"),
    [
        ("byte_level_bpe", {"<|endoftext|>": 0}),
        ("unigram", {"</s>": 1}),
        ("sentencepiece", {"<s>": 1, "</s>": 2}),
        ("tiktoken", {"<|endofprompt|>": 620}),
        ("megatron_tiktoken", {"</s>": 2, "<mask>": 3, "<SPECIAL_999>": 999}),
    ],
)
def test_control_tokens_by_name(tmp_path, kind, some):
    """What is unknown is none of them: texts give it."""
    tokenizer = make(kind, tmp_path)
    offset = len(texts.ranks()) - 600 if kind == "tiktoken" else 0
    assert {name: number + offset for name, number in some.items()}.items() <= tokenizer.control_tokens.items()
    assert tokenizer.eod in tokenizer.control_tokens.values()
    assert "<unk>" not in tokenizer.control_tokens or kind == "megatron_tiktoken"  # there no text gives it
    ids = [number for name in tokenizer.control_tokens for number in tokenizer.encode(name)]
    assert not set(ids) & set(tokenizer.control_tokens.values())
    assert not tokenizer.token_bytes()[list(tokenizer.control_tokens.values())].any()
    assert tokenizer.decode(tokenizer.control_tokens.values()) == ""


@pytest.mark.parametrize("kind", LOSSLESS)
def test_half_a_surrogate_pair_is_refused(tmp_path, kind):
    with pytest.raises(ValueError, match="half a surrogate pair, U.DC00, at character 1 is no text"):
        make(kind, tmp_path).encode("a\udc00")
