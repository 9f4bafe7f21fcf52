"""From files to the folder that preprocess_data.py takes."""

import gzip
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
import tokenizers

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.corpus.flags import InputFlags
from megatron_ext.data.flags import SampleFlags
from megatron_ext.tokenizers.build import build
from megatron_ext.tokenizers.flags import TokenizerFlags, TrainTokenizerFlags
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
    assert sorted(os.listdir(tmp_path / "tok")) == ["tokenizer.json", "tokenizer_config.json", "training.json"]
    learned = tokenizers.Tokenizer.from_file(str(tmp_path / "tok" / "tokenizer.json"))
    assert learned.to_str(pretty=True) + "\n" == texts.byte_level_bpe_json()
    assert "600 entries from 40 documents" in found.stdout and "1 records were passed over" in found.stdout
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


def test_a_tokenizer_is_extended(tmp_path, corpus):
    call("--input", corpus, "--vocab-size", "600", "--output", tmp_path / "tok")
    chinese = texts.write_jsonl(tmp_path / "b.jsonl", texts.chinese_texts())
    found = call("--extend", tmp_path / "tok", "--input", chinese, "--vocab-size", "700", "--output", tmp_path / "more")
    assert found.returncode == 0, found.stderr
    assert "700 entries from 30 documents" in found.stdout
    earlier, new = (
        build(TokenizerFlags(tokenizer_type="huggingface", tokenizer_model=str(tmp_path / each))) for each in ("tok", "more")
    )
    assert new.entries()[:600] == earlier.entries() and new.vocab_size == 700
    (config,) = ((tmp_path / each / "tokenizer_config.json").read_text() for each in ("more",))
    assert config == (tmp_path / "tok" / "tokenizer_config.json").read_text()
    found = call("--extend", tmp_path / "tok", "--input", chinese, "--algorithm", "bpe", "--no-split-digits", "--output", "x")
    assert found.returncode == 2 and "--algorithm: has no effect with --extend" in found.stderr
    assert "--no-split-digits: has no effect with --extend" in found.stderr


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


ALGORITHMS = ("bpe", "byte_level_bpe", "sentencepiece_bpe", "sentencepiece_unigram", "unigram", "wordpiece")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_writes_the_folder_that_its_module_makes(tmp_path, corpus, algorithm):
    out = tmp_path / "tok"
    found = call("--algorithm", algorithm, "--input", corpus, "--vocab-size", "800", "--output", out)
    assert found.returncode == 0 and "800 entries from 40 documents" in found.stdout, found.stderr
    written = {path.name: path.read_bytes() for path in out.iterdir()}
    record = json.loads(written.pop("training.json"))
    assert written == texts.learned(algorithm)
    size = sum(len(text.encode()) for text in texts.library_texts())
    assert record["sources"] == [{"input": str(corpus), "documents": 40, "bytes": size, "rejected": 0}]
    assert record["flags"]["algorithm"] == algorithm and record["documents_lost"] == 0
    assert record["fingerprint"] == texts.load(written, tmp_path).fingerprint()


def test_a_weighted_sample_of_sources(tmp_path):
    for name, word in (("a", "alpha"), ("b", "beta")):
        texts.write_jsonl(tmp_path / f"{name}.jsonl", [f"{word} {number:06}" for number in range(3000)])
    usual = ["--input", tmp_path / "a.jsonl", tmp_path / "b.jsonl", "--vocab-size", "300", "--weights", "0.8", "0.2"]
    outputs = []
    for out, seed in (("one", 7), ("two", 7), ("three", 8)):
        more = ("--sample-megabytes", "0.02", "--seed", seed, "--output", tmp_path / out)
        found = call(*usual, *more)
        assert found.returncode == 0, found.stderr
        outputs.append((tmp_path / out / "training.json").read_text())
    assert outputs[0] == outputs[1] != outputs[2]
    a, b = (source["bytes"] for source in json.loads(outputs[0])["sources"])
    assert abs(a - 16_000) < 1500 and abs(b - 4000) < 800
    assert f"{tmp_path / 'b.jsonl'}: " in found.stdout
    found = call(*usual, "--sample-megabytes", "5", "--output", tmp_path / "four")
    assert found.returncode == 1 and "ask for at most" in found.stderr


def test_what_loses_text_is_refused_or_taken_with_a_warning(tmp_path):
    source = texts.write_jsonl(tmp_path / "a.jsonl", ["plain words " * 50, "more of them " * 50, "one 中 here", "last"])
    usual = ["--algorithm", "bpe", "--no-byte-fallback", "--character-coverage", "0.99", "--vocab-size", "300", "--input", source]
    found = call(*usual, "--output", tmp_path / "tok")
    assert found.returncode == 1 and os.listdir(tmp_path / "tok") == []
    said = found.stderr.splitlines()[-1]
    assert f"document 3 of {source} does not come back" in said and "'中' (U+4E2D)" in said, said
    assert "leave --no-byte-fallback out, or take it so with --allow-lossy" in said
    found = call(*usual, "--output", tmp_path / "tok", "--allow-lossy")
    assert found.returncode == 0 and "warning: 25.00% of the documents are not kept" in found.stderr, found.stderr
    assert json.loads((tmp_path / "tok" / "training.json").read_text())["documents_lost"] == 1


def test_a_folder_is_not_given_a_second_model(tmp_path, corpus):
    usual = ["--input", corpus, "--vocab-size", "800", "--output", tmp_path / "tok"]
    assert call(*usual, "--algorithm", "bpe").returncode == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "tok").iterdir()}
    found = call(*usual, "--algorithm", "sentencepiece_bpe")
    assert found.returncode == 1 and "holds the tokenizer.json of another tokenizer; remove it" in found.stderr
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "tok").iterdir()}


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--byte-fallback"], None),
        (["--no-byte-fallback"], "--no-byte-fallback: has no effect with --algorithm byte_level_bpe"),
        (["--character-coverage", "0.99"], "--character-coverage: has no effect with --algorithm byte_level_bpe"),
        (["--algorithm", "unigram", "--min-frequency", "3"], "--min-frequency: has no effect with --algorithm unigram"),
        (["--extra-ids", "5"], "--extra-ids 5: has no effect without --special-tokens span_corruption"),
        (["--special-tokens", "fin"], "expected one of fim, span_corruption, ul2, masks"),
        (["--additional-special-tokens", "a"], "--additional-special-tokens 'a': is too short"),
        (["--additional-special-tokens", "<a>", "<a>"], "--additional-special-tokens <a>: is a control token's name already"),
        (["--special-tokens", "ul2", "--eod-token", "[S]"], "--eod-token [S]: is a control token's name already"),
        (["--additional-special-tokens", "<0x41>"], "--additional-special-tokens <0x41>: is a name that"),
        (["--additional-special-tokens", "Ġword"], "--additional-special-tokens Ġword: is how byte-level tokens write a text"),
        (["--vocab-size", "350", "--special-tokens", "span_corruption"], "--vocab-size 350: is too small"),
        (["--weights", "1", "2"], "--weights 2: are not as many as --input names, 1"),
        (["--algorithm", "bep"], "did you mean bpe?"),
    ],
)
def test_bad_flags(argv, said):
    given = ["--input", __file__, "--input-format", "text", "--output", "x", *argv]
    if said is None:
        read([InputFlags, SampleFlags, TrainTokenizerFlags], given, "x", "")
        return
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        read([InputFlags, SampleFlags, TrainTokenizerFlags], given, "x", "")
