"""Names and patterns to files, in an order that does not depend on the machine."""

import pytest

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.corpus.flags import READERS, InputFlags
from megatron_ext.corpus.inputs import expand, expand_all, format_of


@pytest.fixture
def folder(tmp_path):
    for name in ("b.jsonl", "a.jsonl.gz", "deep/c.jsonl.zst", "d.parquet", "e.txt", "f.unknown", "odd[1].jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}\n")
    return tmp_path


def names(files):
    return [file.rsplit("/", 1)[-1] for file in files]


def test_patterns_are_sorted_and_names_stay_in_order(folder):
    assert names(expand(f"{folder}/*.jsonl*")) == ["a.jsonl.gz", "b.jsonl", "odd[1].jsonl"]
    assert names(expand(f"{folder}/**/*.jsonl*")) == ["a.jsonl.gz", "b.jsonl", "c.jsonl.zst", "odd[1].jsonl"]
    assert names(expand_all([f"{folder}/e.txt", f"{folder}/[bd]*"])) == ["e.txt", "b.jsonl", "d.parquet"]


def test_a_name_that_looks_like_a_pattern_is_a_name_where_there_is_such_a_file(folder):
    assert names(expand(f"{folder}/odd[1].jsonl")) == ["odd[1].jsonl"]


def test_a_pattern_does_not_match_what_the_run_writes(folder):
    own = f"{folder}/b.jsonl"
    assert names(expand_all([f"{folder}/*.jsonl"], leave_out=[own])) == ["odd[1].jsonl"]
    assert names(expand_all([own], leave_out=[own])) == ["b.jsonl"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.jsonl", "jsonl"),
        ("A.JSON.GZ", "jsonl"),
        ("a.txt.zst", "text"),
        ("a.md", "text"),
        ("a.parquet", "parquet"),
        ("a.gz", None),
    ],
)
def test_the_format_is_told_by_the_ending(name, found):
    assert format_of(name, READERS) == found


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "--input: is missing"),
        (["--input", "{}/x*.jsonl"], "matches no file"),
        (["--input", "{}/b.jsonl", "{}/b*"], "a second time"),
        (["--input", "{}/f.unknown"], "name it with --input-format"),
        (["--input", "{}"], "is a folder; give files, or a pattern such as"),
    ],
)
def test_problems(folder, argv, said):
    with pytest.raises(ConfigurationError, match=said):
        read([InputFlags], [word.format(folder) for word in argv], "x", "")


def test_a_format_can_be_named(folder):
    flags = read([InputFlags], ["--input", f"{folder}/f.unknown", "--input-format", "text"], "x", "").input
    assert flags.input_format == "text"
