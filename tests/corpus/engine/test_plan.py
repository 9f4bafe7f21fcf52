"""Runs that meet in one folder: none takes another's files for its own, and none touches what it was given to read."""

import gzip
import json

import pytest

from megatron_ext.arguments.problems import UserError
from tests.corpus.engine.runs import call, corpus, good, here, kept, left, write


@pytest.mark.parametrize(
    ("ways", "more"),
    [
        ([["exact"], []], []),
        pytest.param([["exact", "minhash"], ["exact"]], [], marks=pytest.mark.full),
        pytest.param([[], ["exact"], []], ["--keep-work"], marks=pytest.mark.full),
    ],
)
def test_a_way_is_added_or_left_out(ways, more, tmp_path):
    corpus(tmp_path / "in", files=2, documents=20)
    flags = ["--input", tmp_path / "in" / "*.jsonl", "--workers", "1"]

    def run(folder, ways, more=()):
        good(*flags, "--output", folder, *more, *(["--dedup", *ways] if ways else []))
        found = left(folder)
        return {name: data for name, data in found["files"].items() if not name.startswith("work")}, found["receipt"]

    for each in ways:
        again = run(tmp_path / "out", each, more)
    assert again == run(tmp_path / "fresh", ways[-1])


def test_a_pattern_does_not_match_what_the_run_writes(tmp_path):
    write(tmp_path / "in.jsonl", [{"text": "one"}])
    flags = ["--input", "**/*.jsonl", "--output", "out", "--output-compression", "none", "--workers", "1"]
    good(*flags, cwd=tmp_path)
    assert (tmp_path / "out" / "part-00000.jsonl").exists()
    assert "1, 0.0 MB of text in 1 shards, 1 of them done before" in good(*flags, cwd=tmp_path).stdout


@pytest.mark.parametrize("flag", ["--input", "--dedup-against"])
@pytest.mark.parametrize("name", ["part-*", "part-00000.jsonl.zst"])
def test_what_is_read_is_not_written_over(flag, name, tmp_path):
    write(tmp_path / "in.jsonl", [{"text": "one"}])
    good("--input", tmp_path / "in.jsonl", "--output", tmp_path / "out", "--workers", "1")
    before = left(tmp_path / "out")
    more = ["--input", tmp_path / "in.jsonl", "--dedup", "exact"] if flag == "--dedup-against" else []
    given = tmp_path / "out" / name
    done = call(*more, flag, given, "--output", tmp_path / "out")
    assert done.returncode == 1 and "lies in --output" in done.stderr and "Traceback" not in done.stderr
    assert left(tmp_path / "out") == before


def test_a_folder_with_a_recipe_of_its_users_is_none_of_ours(tmp_path):
    write(tmp_path / "in.jsonl", [{"text": "one"}])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "recipe.yaml").write_text("workers: 1  # by hand\n")
    (tmp_path / "mine" / "part-000.jsonl").write_text('{"text": "by hand"}\n')
    done = call("--recipe", tmp_path / "mine" / "recipe.yaml", "--input", tmp_path / "in.jsonl", "--output", tmp_path / "mine")
    assert done.returncode == 1 and "is no folder of ours" in done.stderr
    assert (tmp_path / "mine" / "recipe.yaml").read_text() == "workers: 1  # by hand\n"
    assert (tmp_path / "mine" / "part-000.jsonl").exists()


def test_names_may_hold_whatever_a_pattern_is_of(tmp_path):
    folder = tmp_path / "v[1] 'so' $x"
    write(tmp_path / "in.jsonl", [{"text": "one"}, {"text": "two"}])
    write(tmp_path / "more.jsonl", [{"text": "two"}, {"text": "three"}])
    good("--input", tmp_path / "in.jsonl", "--output", folder, "--workers", "1")
    flags = ["--dedup", "exact", "--dedup-against", folder]
    out = here("--input", tmp_path / "more.jsonl", "--output", tmp_path / "out", *flags)
    assert [each["text"] for each in kept(out)] == ["three"]


def test_a_corpus_that_changes_while_it_is_held_against_is_told(tmp_path, monkeypatch):
    from megatron_ext.corpus.matching import before

    write(tmp_path / "in.jsonl", [{"text": "one"}])
    old = write(tmp_path / "old.jsonl", [{"text": "one"}, {"text": "two"}])
    read = before.records

    def meanwhile(source, *arguments, **more):
        for number, record in enumerate(read(source, *arguments, **more)):
            if number == 1:
                old.open("a").write('{"text": "three"}\n')
            yield record

    monkeypatch.setattr(before, "records", meanwhile)
    with pytest.raises(UserError, match="old.jsonl: was changed while it was read"):
        here("--input", tmp_path / "in.jsonl", "--output", tmp_path / "out", "--dedup", "exact", "--dedup-against", old)


def test_a_compressed_file_that_is_many_shards_large_is_told(tmp_path):
    write(tmp_path / "a.jsonl", [{"text": f"{number}" * 50} for number in range(200)])
    data = (tmp_path / "a.jsonl").read_bytes()
    for number in range(6):
        (tmp_path / f"{number}.jsonl.gz").write_bytes(gzip.compress(data, 0))
    flags = ["--output", tmp_path / "out", "--shard-size", "0.002", "--workers", "1"]
    told = good("--input", tmp_path / "0.jsonl.gz", *flags, "--dedup", "exact").stderr
    assert f"0.jsonl.gz: {len(data) / 1e6:.1f} MB of it are one shard, as a compressed file is not cut" in told
    assert "which holds in memory what --dedup knows of it; give it uncompressed or in several files" in told
    warning, _ = json.loads((tmp_path / "out" / "receipt.json").read_text())["warnings"]
    assert warning.startswith(f"{tmp_path}/0.jsonl.gz: ")
    many = good("--input", tmp_path / "*.gz", *flags).stderr
    assert many.count("are one shard") == 3 and "3 more such, in the receipt" in many and "--dedup" not in many
    assert "are one shard" not in good("--input", tmp_path / "a.jsonl", *flags).stderr
