"""--dedup bloom: what is new stays but for the rate, what was there goes, and a filter goes on from one delivery to the next."""

from __future__ import annotations

import functools
import resource

import pytest

from megatron_ext.arguments.problems import UserError
from tests.corpus.dedup.case import Case
from tests.corpus.engine import runs


def test_the_first_of_each_stays_and_the_filter_goes_on(tmp_path):
    first = Case(tmp_path / "1", [["one", "two", "One!"], ["two", "three"]], "--dedup", "bloom", "--bloom-items", 1000)
    assert [record["text"] for record in first.kept] == ["one", "two", "three"]
    assert first.gone("bloom") == {"0-2": "known to the filter", "1-0": "known to the filter"}
    second = Case(tmp_path / "2", [["three", "four"], ["ONE"]], "--dedup", "bloom", "--bloom-load", first.out / "bloom.npy")
    assert [record["text"] for record in second.kept] == ["four"]
    third = Case(tmp_path / "3", [["four", "two", "five"]], "--dedup", "bloom", "--bloom-load", second.out / "bloom.npy")
    assert [record["text"] for record in third.kept] == ["five"]


def test_the_rate_is_what_is_lost(tmp_path):
    texts = [f"document number {number}" for number in range(4000)]
    lost = {}
    for rate in (0.1, 1e-4):
        case = Case(tmp_path / str(rate), [texts[:2000], texts[2000:]], "--dedup", "bloom", "--bloom-rate", rate)
        lost[rate] = len(texts) - len(case.kept)
    assert 20 < lost[0.1] < 400 and lost[1e-4] <= 5, lost  # the filter is only full at the end


def test_sources_are_preferred(tmp_path):
    shards = [[{"text": "same", "source": "web"}], [{"text": "same", "source": "books"}]]
    assert Case(tmp_path, shards, "--dedup", "bloom", "--dedup-priority", "books").ids() == ["1-0"]


def test_what_cannot_be_is_said(tmp_path):
    for flags, says in {
        ("--bloom-rate", "1"): "is no rate that a filter can have",
        ("--bloom-load", "nowhere.npy"): "is no file",
        ("--bloom-load", __file__, "--bloom-items", "5"): "both say how large the filter is",
    }.items():
        done = runs.call("--input", __file__, "--input-format", "text", "--output", tmp_path, "--dedup", "bloom", *flags)
        assert done.returncode == 2 and says in done.stderr


def test_the_filter_is_a_part_of_what_the_run_leaves(tmp_path):
    """It is made again where it is gone, and gone where another configuration has none."""
    flags = ["--input", runs.write(tmp_path / "a.jsonl", [{"text": text} for text in "aba"]), "--output", tmp_path / "out"]
    runs.good(*flags, "--dedup", "bloom")
    made = (tmp_path / "out" / "bloom.npy").read_bytes()
    (tmp_path / "out" / "bloom.npy").unlink()
    runs.good(*flags, "--dedup", "bloom")
    assert (tmp_path / "out" / "bloom.npy").read_bytes() == made
    runs.good(*flags, "--dedup", "exact")
    assert not (tmp_path / "out" / "bloom.npy").exists() and len(runs.kept(tmp_path / "out")) == 2


def test_a_filter_that_there_is_no_room_for_is_a_sentence(tmp_path):
    flags = ["--input", runs.write(tmp_path / "a.jsonl", [{"text": "a"}]), "--output", tmp_path / "out", "--dedup", "bloom"]
    with pytest.raises(UserError, match="is larger than 275 GB; give fewer"):
        runs.here(*flags, "--bloom-items", 10**15)
    small = functools.partial(resource.setrlimit, resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30))
    done = runs.call(*flags, "--bloom-items", 10**10, "--workers", "1", preexec_fn=small)
    assert done.returncode == 1 and "slice 0 of 1: there is not enough memory (Unable to allocate" in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "out" / "bloom.npy").exists()
