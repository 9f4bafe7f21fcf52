"""The benchmark of encoding: its commands are the tools', the peers' files hold the same tokens. Nothing is timed."""

from __future__ import annotations

import json
import os
import re
import sys

import numpy as np
import pytest

from megatron_ext.arguments.config import read
from megatron_ext.benchmarks import tokenize, tokenize_peers
from megatron_ext.benchmarks.flags import TOKENIZE_ROWS, TokenizeBenchmarkFlags
from tests import texts as library

LINES = [{"text": text, "source": source} for text, source in zip(library.library_texts(8), "abababab")]


@pytest.fixture
def jsonl(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return path


def rows(tmp_path, jsonl, *argv: str) -> dict[str, str]:
    folder = tmp_path / "made" / "here"
    usual = ["--input", str(jsonl), "--folder", str(folder), "--rounds", "1", "--vocab-size", "400"]
    found = dict(tokenize.run(read([TokenizeBenchmarkFlags], [*usual, *argv], "", "").benchmark))
    assert list(folder.iterdir()) == []
    return found


def test_the_row_of_encoding(tmp_path, jsonl):
    found = rows(tmp_path, jsonl, "--rows", "encoding")
    assert found["text"].startswith("8 documents") and found["tokenizer"] == "400 entries, learned from it"
    assert set(found) == {"text", "tokenizer", "encoding all", "encoding a", "encoding b"}
    ways = ("C\\+\\+", "tiktoken", "tokenizers", "tokenizers in batches")
    assert re.fullmatch(", ".join(rf"{way} [\d.,]+ MB/s" for way in ways), found["encoding all"])


@pytest.mark.full
def test_the_rows_of_the_command(tmp_path, jsonl, monkeypatch):
    monkeypatch.setattr(tokenize, "_MUCH", 1e5)
    monkeypatch.setattr(tokenize, "_LONG", 1e5)
    found = rows(tmp_path, jsonl, "--rows", "speed", "workers", "memory")
    assert re.fullmatch(r"[\d.,]+ MB/s", found["all, ours"]) and re.fullmatch(r"[\d.,]+ MB/s", found["b, ours"])
    assert re.fullmatch(r"[\d.,]+ MB/s, ours [\d.]+ ×", found["… megatron_lm"])
    assert found.get("… the same bytes", "of .bin and .idx") == "of .bin and .idx"
    assert "two workers give" in found["… two commands of one worker at once"]
    assert re.fullmatch(r"[\d.]+ × the memory", found["… ten times the input"])


@pytest.mark.full
def test_megatron_lms_way_writes_what_ours_does(tmp_path, jsonl):
    """In processes of its own, by megatron-core's tokenizer and builder."""
    flags = read([TokenizeBenchmarkFlags], ["--input", str(jsonl), "--vocab-size", "400"], "", "").benchmark
    bench = tokenize.Bench(flags, tmp_path)
    bench.ours(jsonl)
    bench.peer("megatron_lm", jsonl)
    for end in ("bin", "idx"):
        assert (tmp_path / f"megatron_lm.{end}").read_bytes() == (tmp_path / f"ours_text_document.{end}").read_bytes()


@pytest.mark.full
def test_datatroves_tokens_are_the_same(tmp_path, jsonl, monkeypatch):
    flags = read([TokenizeBenchmarkFlags], ["--input", str(jsonl), "--vocab-size", "400"], "", "").benchmark
    bench = tokenize.Bench(flags, tmp_path)
    if not bench.folders:
        pytest.skip("datatrove is not beside this environment (tests/run.sh brings it)")
    monkeypatch.setattr(sys, "path", [*sys.path, *bench.folders])
    tokenize_peers.datatrove(str(jsonl), str(tmp_path / "out"), bench.tokenizer, 1)
    (file,) = [name for name in os.listdir(tmp_path / "out") if name.endswith(".ds")]
    bench.ours(jsonl)
    theirs = np.fromfile(tmp_path / "out" / file, np.uint16)
    assert theirs.tolist() == np.fromfile(tmp_path / "ours_text_document.bin", np.uint16).tolist()


def test_a_command_that_fails_is_a_sentence(tmp_path, jsonl):
    flags = read([TokenizeBenchmarkFlags], ["--input", str(jsonl), "--vocab-size", "400"], "", "").benchmark
    with pytest.raises(ValueError, match="preprocess_data.py failed: .*matches no file"):
        tokenize.Bench(flags, tmp_path).ours(tmp_path / "none.jsonl")


def test_the_flags_name_the_rows():
    assert tuple(tokenize.ROWS) == TOKENIZE_ROWS
    assert tokenize_peers.PEERS.keys() == tokenize_peers.INSTALL.keys()
