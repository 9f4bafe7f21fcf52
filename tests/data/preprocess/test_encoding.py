"""One batch: tokens of the good records, a line for each of the others, and counts of what was used."""

import json

import numpy as np
import pytest

from megatron_ext.corpus.documents import Record
from megatron_ext.data.preprocess.encoding import Batch, Encoder
from megatron_ext.tokenizers.build import build
from megatron_ext.tokenizers.flags import TokenizerFlags
from tests import texts


@pytest.fixture
def flags(tmp_path):
    (tmp_path / "tokenizer.json").write_text(texts.byte_level_bpe_json())
    return TokenizerFlags(tokenizer_type="huggingface", tokenizer_model=str(tmp_path))


def batch(*payloads):
    return Batch("jsonl", [Record("f", number, payload) for number, payload in enumerate(payloads, start=1)], 10)


def line(**fields):
    return json.dumps(fields).encode()


@pytest.mark.parametrize("append_eod", [True, False])
def test_tokens_are_the_tokenizers_end_to_end(flags, append_eod):
    tokenizer = build(flags)
    found = Encoder(flags, ["text"], append_eod)(batch(*(line(text=text) for text in texts.library_texts())))
    tokens, lengths = found.columns[0]
    expected = [tokenizer.encode(text) + [tokenizer.eod] * append_eod for text in texts.library_texts()]
    assert (tokens.dtype, lengths.tolist()) == (np.uint16, [len(ids) for ids in expected])
    assert tokens.tolist() == sum(expected, [])
    assert (found.documents, found.rejects, found.read_bytes) == (len(expected), [], 10)


def test_what_is_refused_is_named_and_the_rest_used(flags):
    found = Encoder(flags, ["text"], False)(
        batch(line(text="good"), b"bad", b'{"text": "\xff"}', line(text=""), line(text="more"))
    )
    assert found.documents == 2
    assert [(reject["line"], reject["reason"]) for reject in found.rejects] == [(2, "not_json"), (3, "not_utf8"), (4, "empty")]
    assert found.rejects[1] == {"file": "f", "line": 3, "reason": "not_utf8", "detail": "byte 0xff is not UTF-8 here", "byte": 10}


def test_several_keys_stay_parallel(flags):
    found = Encoder(flags, ["a", "b"], False)(batch(line(a="one", b="two"), line(a="alone"), line(b="x", a="three words here")))
    assert [len(lengths) for _, lengths in found.columns] == [2, 2]
    tokenizer = build(flags)
    assert tokenizer.decode(found.columns[0][0]) == "onethree words here"
    assert tokenizer.decode(found.columns[1][0]) == "twox"


def test_counts_are_of_the_texts_used(flags):
    found = Encoder(flags, ["a", "b"], True)(
        batch(line(a="two words", b="中文"), line(a="", b="not counted"), line(a="ends \n", b=" x"))
    )
    used = ["two words", "中文", "ends \n", " x"]
    assert found.text_bytes == sum(len(text.encode()) for text in used)
    assert (found.characters, found.words, found.han) == (sum(map(len, used)), 5, 2)


def test_a_text_that_the_tokenizer_refuses_costs_no_other(tmp_path):
    flags = TokenizerFlags(tokenizer_type="null", vocab_size=70_000)
    found = Encoder(flags, ["text"], True)(batch(line(text="1 2"), line(text="x"), line(text="70000"), line(text="69998")))
    assert [(reject["line"], reject["reason"]) for reject in found.rejects] == [(2, "not_tokenized"), (3, "not_tokenized")]
    tokens, lengths = found.columns[0]
    assert (tokens.dtype, tokens.tolist(), lengths.tolist()) == (np.int32, [1, 2, 69_999, 69_998, 69_999], [3, 2])


def test_a_text_of_which_nothing_is_left_is_named(tmp_path):
    """SentencePiece with its usual settings drops what it takes for white space."""
    (tmp_path / "tokenizer.model").write_bytes(
        texts.sentencepiece_model(normalization_rule_name="nmt_nfkc", remove_extra_whitespaces=True)
    )
    flags = TokenizerFlags(tokenizer_type="sentencepiece", tokenizer_model=str(tmp_path))
    found = Encoder(flags, ["text"], True)(batch(line(text="\u200b"), line(text="words")))
    assert [reject["reason"] for reject in found.rejects] == ["no_tokens"] and found.documents == 1


def test_an_empty_batch(flags):
    found = Encoder(flags, ["text"], True)(batch(b"bad"))
    assert (found.documents, found.text_bytes, found.characters, found.words) == (0, 0, 0, 0)
    assert [array.tolist() for array in found.columns[0]] == [[], []]
