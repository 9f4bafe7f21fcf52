"""The benchmark of corpora: its texts are real and the same each time, all rows do what they say. Nothing is timed."""

from __future__ import annotations

import json
import re

import pytest

from megatron_ext.arguments.config import read
from megatron_ext.benchmarks import corpus, corpus_peers, corpus_text
from megatron_ext.benchmarks.flags import CORPUS_ROWS, CorpusBenchmarkFlags
from tests import texts as library
from tools import benchmark

LINES = [{"text": text, "source": source} for text, source in zip(library.library_texts(6), "abcabc")]


@pytest.fixture
def jsonl(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return str(path)


def rows(tmp_path, *argv: str) -> dict[str, str]:
    """What is printed, by its first column."""
    folder = tmp_path / "made" / "here"
    flags = read([CorpusBenchmarkFlags], ["--folder", str(folder), "--rounds", "1", *argv], "", "").benchmark
    found = dict(corpus.run(flags))
    assert list(folder.iterdir()) == []
    return found


def test_texts_are_this_machines_own_and_the_same_each_time():
    found = corpus_text.texts(None, 1.5)
    assert found == corpus_text.texts(None, 1.5)
    assert {each.source for each in found} == {"manual", "library", "packages"}
    assert 1.3e6 < corpus_text.size_of([each.text for each in found]) <= 1.5e6
    assert found[:50] == corpus_text.texts(None, 0.5)[:50]  # a peer's texts are the first of ours


def test_texts_of_a_file(tmp_path, jsonl):
    found = corpus_text.texts(jsonl, 100)
    assert sorted(found) == sorted(corpus_text.Text(line["source"], line["text"]) for line in LINES)
    assert corpus_text.texts(jsonl, 1e-6) == found[:1]
    size = corpus_text.write(tmp_path / "twice.jsonl", found, times=2)
    written = [json.loads(line) for line in (tmp_path / "twice.jsonl").read_bytes().splitlines()]
    assert size == (tmp_path / "twice.jsonl").stat().st_size
    assert [line["text"] for line in written] == 2 * [each.text for each in found]
    assert len({line["id"] for line in written}) == len(written)


@pytest.mark.parametrize("content", ["no JSON\n", '{"other": 1}\n', "[1]\n", None])
def test_other_files_are_refused_in_a_sentence(tmp_path, content, capsys):
    path = tmp_path / "bad.jsonl"
    if content is not None:
        path.write_text(content)
    assert benchmark.main(["corpus", "--input", str(path), "--folder", str(tmp_path / "b"), "--rows", "rules"]) != 0
    said = capsys.readouterr().err
    assert f"--input {path}" in said and "Traceback" not in said


def test_rows_of_rules_languages_and_personal_data(tmp_path, jsonl):
    found = rows(tmp_path, "--input", jsonl, "--rows", "rules", "language", "personal_data", "--megabytes", "0.1")
    assert found["text"].startswith(f"{len(LINES)} documents")
    assert re.fullmatch(r"[\d.,]+ MB/s", found["Gopher quality, repetition and C4"])
    assert all(re.fullmatch(r"[\d.,]+ MB/s", found[f"… of {source}"]) for source in "abc")
    assert re.search(r"MB/s; bare fastText on the same [\d.,]+ MB/s, [\d.]+ ×$", found["language"])
    assert re.fullmatch(r"[\d.,]+ MB/s; ours on the same [\d.]+ MB [\d.,]+ MB/s, [\d.]+ ×", found["… regex_patterns"])
    assert "engine" not in "".join(found)


def test_each_rule_has_its_rate(tmp_path, jsonl):
    found = rows(tmp_path, "--input", jsonl, "--rows", "each_rule", "--megabytes", "0.02")
    assert {"length", "symbols", "fineweb", "keywords, 3,000 words", "gopher_repetition", "code", "perplexity, order 5"} < set(
        found
    )
    assert all(re.fullmatch(r"[\d.,]+ MB/s", rate) for what, rate in found.items() if what != "text"), found


def test_row_of_the_engine(tmp_path):
    found = rows(tmp_path, "--megabytes", "0.2", "--rows", "engine")
    assert len(re.findall("MB/s", found["… to zstd, from zstd, from and to zstd"])) == 3
    assert re.search(r"bare loop of orjson [\d.,]+ MB/s, [\d.]+ ×", found["JSONL to JSONL"])


@pytest.mark.full
def test_rows_of_the_whole_command(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "_MUCH", 4e5)
    found = rows(tmp_path, "--megabytes", "0.2", "--rows", "workers", "memory")
    assert re.search(r"[\d.]+ × one after the start", found["… two workers"])
    assert "two workers give" in found["… two commands of one worker at once"]
    assert re.fullmatch(r"[\d.]+ × the memory", found["… ten times the input"])


def test_peers_that_are_not_there_are_left_out_in_words(tmp_path):
    path = tmp_path / "few.jsonl"
    path.write_text('{"text": "one"}\n')
    said = corpus_peers.seconds("presidio", str(path), 1, [])
    if isinstance(said, str):  # in most environments
        assert said == "left out: No module named 'presidio_analyzer'; " + corpus_peers.INSTALL["presidio"]
    (tmp_path / "presidio_analyzer.py").write_text("1 / 0")  # what --peers names is looked into
    assert corpus_peers.seconds("presidio", str(path), 1, [str(tmp_path)]).startswith("left out, it failed: ZeroDivisionError")


def test_patterns_find_what_they_are_for():
    import regex

    examples = {
        "email": "a.b@example.org",
        "phone_number": "+1 415 555 0123",
        "ip_address": "192.0.2.1",
        "bank_card": "4111 1111 1111 1111",
        "iban": "DE89 3704 0044 0532 0130 00",
        "chinese_id": "11010519491231002X",
        "us_ssn": "123-45-6789",
        "secret": "AKIAIOSFODNN7EXAMPLE",
    }
    assert examples.keys() == corpus_peers.PATTERNS.keys()
    for kind, example in examples.items():
        assert regex.findall(corpus_peers.PATTERNS[kind], f"see {example}, and no more") == [example]


def test_a_command_that_fails_is_a_sentence(tmp_path):
    bench = type("Bench", (), {"folder": tmp_path})
    with pytest.raises(Exception, match="clean_corpus.py failed: .*"):
        corpus.command(bench, tmp_path / "missing.jsonl")


def test_the_flags_name_the_rows():
    assert tuple(corpus.ROWS) == CORPUS_ROWS
    assert corpus_peers.PEERS.keys() == corpus_peers.INSTALL.keys()
