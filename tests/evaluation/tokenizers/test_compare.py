"""Texts of sources to tokenizers, in batches."""

import json

import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.evaluation.tokenizers import report
from megatron_ext.evaluation.tokenizers.compare import _add_scores, compare
from megatron_ext.evaluation.tokenizers.flags import ComparisonFlags, SourceFlags
from tests import texts


def test_a_source_over_several_files_and_batches(tmp_path, monkeypatch):
    """However the texts lie in files and batches, its figures are the same."""
    some = texts.library_texts(12)
    (tmp_path / "tokenizer.json").write_text(texts.byte_level_bpe_json())
    texts.write_jsonl(tmp_path / "whole.jsonl", some)
    for number in range(3):
        texts.write_jsonl(tmp_path / f"part{number}.jsonl", some[4 * number : 4 * number + 4])
    asked = ComparisonFlags(tokenizers=(str(tmp_path / "tokenizer.json"),))
    whole = compare(SourceFlags(input=(f"x={tmp_path}/whole.jsonl",)), asked).tokenizers[0].by_source["x"]
    monkeypatch.setattr("megatron_ext.data.preprocess.batching.BATCH_BYTES", 5000)
    parts = compare(SourceFlags(input=(f"x={tmp_path}/part0.jsonl", f"x={tmp_path}/part[12].jsonl")), asked)
    found = parts.tokenizers[0].by_source["x"]
    assert parts.texts["x"]["documents"] == 12 and found.tokens == whole.tokens and found.continued == whole.continued
    assert (found.tokens_of == whole.tokens_of).all()


@pytest.mark.parametrize("content", ["[]", "{}", '{"sources": {"a": {}}}', '{"sources": {}}', '{"sources": {"a": 1}}', "x"])
def test_scores_that_are_none(content, tmp_path):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(UserError, match="--model-scores .*x.json: is not what tools/evaluate.py --json writes"):
        _add_scores({}, str(tmp_path / "x.json"))


def test_a_source_may_be_called_all_where_it_is_all(tmp_path):
    (tmp_path / "tokenizer.json").write_text(texts.byte_level_bpe_json())
    path = texts.write_jsonl(tmp_path / "x.jsonl", ["some text"])
    asked = ComparisonFlags(tokenizers=(str(tmp_path / "tokenizer.json"),))
    found = compare(SourceFlags(input=(f"all={path}",)), asked)
    assert found.texts_of("all")["documents"] == 1 and report.shown(found) == ["all"]
    with pytest.raises(UserError, match="a source is called 'all', as all of them together are"):
        compare(SourceFlags(input=(f"all={path}", f"b={path}")), asked)


def test_scores_of_all_texts_are_taken_where_they_are(tmp_path):
    (tmp_path / "x.json").write_text(json.dumps({"sources": {"all": {"bits_per_byte": 2.0, "bytes": 5}}}))
    scores = {}
    _add_scores(scores, str(tmp_path / "x.json"))
    assert scores == {"all": [2.0]}
