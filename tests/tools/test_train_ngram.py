"""From files to a model that kenlm reads and `--filters perplexity` asks."""

import gzip
import json
import os
import pathlib
import re
import subprocess
import sys

import kenlm
import pytest

from megatron_ext.corpus.ngrams import units
from megatron_ext.corpus.ngrams.model import Model
from tests import texts
from tests.corpus.filters.case import CHINESE

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools" / "train_ngram.py"


def call(*arguments, **more):
    command = [sys.executable, str(TOOL), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, **more)


def sections(path):
    """Order → n-grams as texts."""
    found, order = {}, 0
    for line in path.read_text().splitlines():
        if line.startswith("\\") and line.endswith("-grams:"):
            order = int(line[1])
            found[order] = set()
        elif order and "\t" in line:
            found[order].add(line.split("\t")[1])
    return found


@pytest.fixture
def corpus(tmp_path):
    return texts.write_jsonl(tmp_path / "a.jsonl", [*texts.library_texts(), CHINESE])


def test_the_model_and_what_is_said_of_it(tmp_path, corpus):
    corpus.write_bytes(corpus.read_bytes() + b"not json\n")
    done = call("--input", corpus, "--output", tmp_path / "new" / "m.arpa", "--language", "en")
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(tmp_path / "new")) == ["m.arpa", "m.arpa.json"]
    assert kenlm.Model(str(tmp_path / "new" / "m.arpa")).order == 5
    about = json.loads((tmp_path / "new" / "m.arpa.json").read_text())
    assert (about["language"], about["units"], about["normalize"], about["order"]) == ("en", "words", True, 5)
    percentiles = about["percentiles"]
    assert len(percentiles) == 101 and percentiles == sorted(percentiles) and percentiles[0] > 1
    assert "1 records without text" in done.stdout and "41 documents" in done.stdout
    # of 41 documents, those at 0, 20 and 40 were held out: the Chinese one is the least likely by far
    assert "cut 3 documents into thirds" in done.stdout
    model = Model(str(tmp_path / "new" / "m.arpa"))
    assert percentiles[100] == pytest.approx(model.perplexity(CHINESE), rel=1e-4) and percentiles[100] > 3 * percentiles[50]
    assert model.percentile(75) == pytest.approx((percentiles[50] + percentiles[100]) / 2, rel=1e-4)


def test_flags_change_what_is_learned(tmp_path):
    (tmp_path / "tok.json").write_text(texts.byte_level_bpe_json())
    texts.write_jsonl(tmp_path / "a.jsonl", ["The year 1984 and\nthe year 1985.", "the year was 三国"] * 30, key="body")
    usual = ["--input", tmp_path / "a.jsonl", "--json-key", "body", "--output", tmp_path / "m.arpa"]
    for more, order, has, has_not in (
        (["--order", 3], 3, {"the year 0000"}, {"year 1985 ."}),
        (["--order", 3, "--no-normalize"], 3, {"The year 1984", "the year was"}, {"the year 0000"}),
        (["--order", 2], 2, {"三 国"}, set()),
        (["--order", 2, "--units", "characters"], 2, {"a r", "三 国"}, {"the year"}),
        (["--order", 2, "--prune", "0", "35"], 2, {"the year"}, {"三 国"}),
        (["--order", 2, "--most-words", 4], 2, {"the year", "<unk> </s>"}, {"三 国"}),
        (["--order", 2, "--units", "pieces", "--tokenizer", tmp_path / "tok.json"], 2, set(), {"the year"}),
    ):
        done = call(*usual, *more)
        assert done.returncode == 0, done.stderr
        found = sections(tmp_path / "m.arpa")
        assert max(found) == order and has <= found[order] and not has_not & found[order], more
    assert (tmp_path / "m.arpa.tokenizer").read_text() == texts.byte_level_bpe_json()
    (tmp_path / "tok.json").unlink()  # a copy of it is the model's own
    assert Model(str(tmp_path / "m.arpa")).perplexity("the year") < Model(str(tmp_path / "m.arpa")).perplexity("ΩΩ ΨΨ")


def test_percentiles_are_those_of_the_text_that_is_named(tmp_path, corpus):
    other = texts.write_jsonl(tmp_path / "crawl.jsonl", [CHINESE, CHINESE * 2])
    found = {}
    for name, more in (("in", []), ("out", ["--percentile-input", other]), ("every", ["--held-out-every", 2])):
        done = call("--input", corpus, "--output", tmp_path / "m.arpa", "--order", 2, *more)
        assert done.returncode == 0, done.stderr
        found[name] = json.loads((tmp_path / "m.arpa.json").read_text())["percentiles"]
        found[name, "said"] = done.stdout
    assert found["out"][0] == pytest.approx(found["out"][100], rel=0.05)
    assert "41 documents" in found["out", "said"] and "cut 2 documents" in found["out", "said"]
    assert "cut 21 documents" in found["every", "said"] and found["every"] != found["in"]


def test_little_memory_gives_the_same_model(tmp_path, corpus):
    for megabytes in (1, 1000):
        done = call("--input", corpus, "--output", tmp_path / f"{megabytes}.arpa", "--memory", megabytes)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "1.arpa").read_bytes() == (tmp_path / "1000.arpa").read_bytes()


def test_sentencepiece_cuts_too(tmp_path, corpus):
    (tmp_path / "sp.model").write_bytes(texts.sentencepiece_model())
    done = call("--input", corpus, "--output", tmp_path / "m.arpa", "--units", "pieces", "--tokenizer", tmp_path / "sp.model")
    assert done.returncode == 0, done.stderr
    code = texts.library_texts()[3]
    model = Model(str(tmp_path / "m.arpa"))
    assert model.perplexity(code) < model.perplexity(" ".join(sorted(code.split()))) < model.perplexity(CHINESE)


def test_what_is_wrong_is_one_sentence_and_leaves_nothing(tmp_path, corpus):
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(corpus.read_bytes())[:-50])
    texts.write_jsonl(tmp_path / "other.jsonl", ["x"] * 3, key="other")
    (tmp_path / "file").write_text("")
    for arguments, said in (
        (["--input", tmp_path / "cut.jsonl.gz", "--output", tmp_path / "m.arpa"], "is cut off"),
        (["--input", tmp_path / "other.jsonl", "--output", tmp_path / "m.arpa"], "no document could be learned from"),
        (["--input", corpus, "--output", tmp_path / "file" / "m.arpa"], "cannot be written"),
        (["--input", corpus, "--output", tmp_path / "m.arpa", "--units", "pieces", "--tokenizer", corpus], "is neither"),
    ):
        done = call(*arguments)
        assert done.returncode == 1 and said in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    assert sorted(os.listdir(tmp_path)) == ["a.jsonl", "cut.jsonl.gz", "file", "other.jsonl"]


def test_all_problems_at_once(tmp_path):
    done = call("--input", tmp_path / "none*", "--prune", "1", "0", "--order", 9, "--units", "pieces")
    assert done.returncode == 2 and "--order 9: must be at most 6" in done.stderr
    done = call("--input", tmp_path / "none*", "--prune", "1", "0", "--units", "pieces")
    assert "4 problems" in done.stderr and "--prune 1 0: an n-gram would be there without its shorter ones" in done.stderr
    done = call("--input", tmp_path / "none*", "--prune", "0", "1", "2", "--order", "2", "--tokenizer", "x", "--output", tmp_path)
    assert "4 problems" in done.stderr and "--tokenizer x: has no effect without --units pieces" in done.stderr
    done = call("--input", TOOL, "--output", "m", "--percentile-input", tmp_path / "none")
    assert "--percentile-input" in done.stderr and "is not there" in done.stderr


@pytest.mark.parametrize(
    "text", ["<s> a </s>", "a\0b", "x\u00a0y\u2003z\x0bw\x1cv\u3000u", "<unk>", "tab\tand\rreturn\u2028line"]
)
def test_no_text_breaks_the_model_s_file(tmp_path, text):
    """Spaces of all kinds end a unit, and no unit is a control word."""
    for kind in ("words", "characters"):
        spaced = units.make(kind, False, None)(text)
        assert set(re.findall(r"\s", spaced)) <= {" ", "\n"}
        found = spaced.split()
        assert not {"<s>", "</s>", "<unk>"} & set(found)
        assert all(not set(unit) & set("\0\t\r\x0b\x1c\u00a0\u2003\u3000\u2028 ") for unit in found)


def test_what_words_are():
    words = units.make("words", True, None)
    assert words("In 1984, 用GPU训练(don't)").split() == ["in", "0000", ",", *"用", "gpu", *"训练", "(", "don", "'", "t", ")"]
    assert units.make("words", False, None)("In 1984").split() == ["In", "1984"]
    lines = units.make("characters", False, None)("ab 三国\nc").split("\n")
    assert [line.split() for line in lines] == [["a", "b", "三", "国"], ["c"]]
