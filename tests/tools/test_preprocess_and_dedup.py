"""preprocess_data.py --dedup: raw text to .bin/.idx in one command, the documents of clean_corpus.py and no others."""

from __future__ import annotations

import json

from megatron_ext.data.index import Index
from tests import texts
from tests.corpus.engine import runs
from tests.tools.test_preprocess_data import call


def documents(prefix) -> int:
    return len(Index(str(prefix)).lengths)


def test_one_command_is_the_two_in_turn(tmp_path):
    (tmp_path / "tokenizer.json").write_text(texts.byte_level_bpe_json())
    runs.corpus(tmp_path / "in", files=2, documents=30)
    ways = ["--input", tmp_path / "in" / "*.jsonl", "--scrub", "email", "--dedup", "exact", "minhash"]
    runs.good(*ways, "--output", tmp_path / "clean")
    tokens = ["--tokenizer-model", tmp_path, "--append-eod", "--workers", "2"]
    done = call(*ways, *tokens, "--output-prefix", tmp_path / "x")
    assert done.returncode == 0, done.stderr
    assert f"receipt  {tmp_path}/x_corpus/receipt.html" in done.stdout
    assert runs.kept(tmp_path / "x_corpus") == runs.kept(tmp_path / "clean") != []
    apart = call("--input", tmp_path / "clean" / "part-*", *tokens, "--output-prefix", tmp_path / "y")
    assert apart.returncode == 0, apart.stderr
    for ending in ("bin", "idx"):
        assert (tmp_path / f"x_text_document.{ending}").read_bytes() == (tmp_path / f"y_text_document.{ending}").read_bytes()
    assert documents(tmp_path / "x_text_document") == len(runs.kept(tmp_path / "clean")) < 60
    receipt = json.loads((tmp_path / "x_corpus" / "receipt.json").read_text())
    assert [step["name"] for step in receipt["steps"]] == ["read", "scrub", "exact", "minhash"]
    again = call(*ways, *tokens, "--output-prefix", tmp_path / "x")
    assert again.returncode == 0 and not (tmp_path / "x_corpus" / "work").exists()


def test_another_key_and_several(tmp_path):
    (tmp_path / "tokenizer.json").write_text(texts.byte_level_bpe_json())
    runs.write(tmp_path / "a.jsonl", [{"content": "one text", "title": "a"}, {"content": "One text!", "title": "b"}])
    asked = ["--input", tmp_path / "a.jsonl", "--tokenizer-model", tmp_path, "--output-prefix", tmp_path / "v[1] x"]
    asked += ["--dedup", "exact"]
    done = call(*asked, "--json-keys", "content")
    assert done.returncode == 0 and documents(tmp_path / "v[1] x_content_document") == 1, done.stderr
    several = call(*asked, "--json-keys", "content", "title")
    assert several.returncode == 2 and "are several, and --dedup are for one text" in several.stderr
