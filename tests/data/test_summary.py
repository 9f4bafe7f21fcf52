"""Data whose summary names another tokenizer is refused; whatever has no summary of its own is not."""

from __future__ import annotations

import json

import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.data.index import Index
from megatron_ext.data.summary import refuse_another_tokenizer
from tests.data.pairs import write_numbered


class Tokenizer:
    vocab_size = 100

    def __init__(self, fingerprint):
        self._fingerprint = fingerprint

    def fingerprint(self):
        return self._fingerprint


OURS, OTHER = Tokenizer("ours"), Tokenizer("other")


def pair(folder, name="a_text_document", **summary):
    """A pair of 3 documents and 12 tokens, and its summary."""
    content = {"documents": 3, "tokens": {"text": 12}, "tokenizer": "ours", "vocab_size": 100} | summary
    (folder / "a_summary.json").write_text(json.dumps(content))
    return Index(write_numbered(folder / name, [3, 4, 5]))


def test_another_tokenizer_is_refused(tmp_path):
    index = pair(tmp_path)
    refuse_another_tokenizer(index, OURS)
    with pytest.raises(UserError, match=r"made with another tokenizer \(100 entries, by .*a_summary.json\) than this run has"):
        refuse_another_tokenizer(index, OTHER)


@pytest.mark.parametrize("name", ["a_my_text_document", "a_b_text_document"])
def test_prefix_and_key_may_hold_underscores(tmp_path, name):
    (tmp_path / "a_b_summary.json").write_text(json.dumps({"documents": 3, "tokens": {"text": 12}, "tokenizer": "ours"}))
    index = pair(tmp_path, name, tokens={"my_text": 12})
    refuse_another_tokenizer(index, OURS)
    with pytest.raises(UserError, match="a_summary.json" if "my" in name else "a_b_summary.json"):
        refuse_another_tokenizer(index, OTHER)


@pytest.mark.parametrize("summary", [
    dict(documents=4),  # of an older pair of this name
    dict(tokens={"text": 11}),
    dict(tokens={"body": 12}),
    dict(tokens=12),
])  # fmt: skip
def test_a_summary_of_other_data_says_nothing(tmp_path, summary):
    assert refuse_another_tokenizer(pair(tmp_path, **summary), OTHER) is None


def test_no_summary_says_nothing(tmp_path):
    assert refuse_another_tokenizer(Index(write_numbered(tmp_path / "a_text_document", [3])), OTHER) is None
    assert refuse_another_tokenizer(pair(tmp_path, name="a"), OTHER) is None
    (tmp_path / "a_summary.json").write_text("{ no JSON")
    assert refuse_another_tokenizer(Index(write_numbered(tmp_path / "a_text_document", [3])), OTHER) is None
