"""From files to a tokenizer.json that preprocess_data.py takes."""

import gzip
import os
import pathlib
import subprocess
import sys

import pytest
import tokenizers

from megatron_ext.tokenizers.build import build
from megatron_ext.tokenizers.flags import TokenizerFlags
from tests import texts


def call(*arguments):
    tool = pathlib.Path(__file__).resolve().parents[2] / "tools" / "train_tokenizer.py"
    return subprocess.run([sys.executable, str(tool), *map(str, arguments)], capture_output=True, text=True, timeout=60)


@pytest.fixture
def corpus(tmp_path):
    return texts.write_jsonl(tmp_path / "a.jsonl", texts.library_texts())


def test_the_tokenizer_is_the_one_that_the_texts_give(tmp_path, corpus):
    corpus.write_bytes(corpus.read_bytes() + b"not json\n")
    found = call("--input", corpus, "--vocab-size", "600", "--output", tmp_path / "tok")
    assert found.returncode == 0, found.stderr
    assert sorted(os.listdir(tmp_path / "tok")) == ["tokenizer.json", "tokenizer_config.json"]
    learned = tokenizers.Tokenizer.from_file(str(tmp_path / "tok" / "tokenizer.json"))
    assert learned.to_str(pretty=True) + "\n" == texts.byte_level_bpe_json()
    assert "600 tokens from 40 documents" in found.stdout and "1 records were passed over" in found.stdout
    tokenizer = build(TokenizerFlags(tokenizer_type="huggingface", tokenizer_model=str(tmp_path / "tok")))
    assert tokenizer.eod == 0 and tokenizer.decode(tokenizer.encode(texts.HARD[4])) == texts.HARD[4]


def test_flags_change_what_is_learned(tmp_path):
    texts.write_jsonl(tmp_path / "a.jsonl", ["1234 1234 1234 word word"] * 9, key="body")
    usual = ["--input", tmp_path / "a.jsonl", "--json-key", "body", "--vocab-size", "300"]
    for more, has, has_not in (
        ([], {"Ġword", "<|endoftext|>"}, {"1234"}),
        (["--no-split-digits"], {"1234", "Ġword"}, set()),
        (["--min-frequency", "100"], {"<|endoftext|>"}, {"Ġword"}),
        (["--eod-token", "<end>"], {"<end>"}, {"<|endoftext|>"}),
    ):
        found = call(*usual, *more, "--output", tmp_path / "tok")
        vocab = set(tokenizers.Tokenizer.from_file(str(tmp_path / "tok" / "tokenizer.json")).get_vocab())
        assert has <= vocab and not has_not & vocab
    assert "fewer than the 300 asked for" in found.stdout


def test_what_is_wrong_is_one_sentence_and_leaves_nothing(tmp_path, corpus):
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(corpus.read_bytes())[:-50])
    texts.write_jsonl(tmp_path / "c.jsonl", ["x"], key="other")
    (tmp_path / "file").write_text("")
    for arguments, said in (
        (["--input", tmp_path / "b.jsonl.gz", "--output", tmp_path / "tok"], "is cut off"),
        (["--input", tmp_path / "c.jsonl", "--output", tmp_path / "tok"], "no document could be used (1 rejected"),
        (["--input", corpus, "--output", tmp_path / "file"], "cannot be written"),
    ):
        found = call(*arguments)
        assert found.returncode == 1 and said in found.stderr and len(found.stderr.splitlines()) == 1, found.stderr
    assert not (tmp_path / "tok").exists() or os.listdir(tmp_path / "tok") == []


def test_all_problems_at_once(tmp_path):
    found = call("--input", tmp_path / "none*", "--eod-token", "")
    assert found.returncode == 2 and "3 problems" in found.stderr
