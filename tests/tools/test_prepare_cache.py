"""The order that tools/prepare_cache.py draws is the one that a run finds."""

from __future__ import annotations

import numpy as np
import pytest

from megatron_ext.data.build import build
from megatron_ext.data.cache import HIDDEN
from megatron_ext.data.flags import DataFlags
from megatron_ext.data.indexed_writer import IndexedWriter
from tests.data.pairs import write_numbered
from tools import prepare_cache

DOCUMENTS = 2**20 + 50


@pytest.fixture(scope="module")
def million(tmp_path_factory):
    """The prefix of a pair of a million short documents."""
    prefix = str(tmp_path_factory.mktemp("large") / "large")
    writer = IndexedWriter(prefix, "uint16")
    lengths = np.random.default_rng(0).integers(0, 4, DOCUMENTS).astype(np.int32)
    writer.add(np.arange(int(lengths.sum())).astype(np.uint16), lengths)
    writer.seal()
    writer.publish()
    return prefix


def files(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_a_run_finds_what_was_prepared(million, tmp_path, capsys):
    argv = ["--data-path", million, "--split", "1", "--seed", "7", "--epochs", "2", "--data-cache-path", str(tmp_path / "c")]
    assert prepare_cache.main(argv) == 0
    assert capsys.readouterr().out.startswith("2 order(s) are in the cache")
    before = files(tmp_path / "c")
    flags = DataFlags(data_path=(million,), split="1", data_cache_path=str(tmp_path / "c"))
    samples = build(flags, seq_length=64, seed=7, evaluates=False).train
    samples._draw_ends = None  # would fail if it were called
    found = samples[0], samples[samples.samples_per_epoch + 3]
    assert files(tmp_path / "c") == before
    elsewhere = build(DataFlags(data_path=(million,), split="1", data_cache_path=str(tmp_path / "d")), 64, 7, evaluates=False)
    for ours, theirs in zip(found, (elsewhere.train[0], elsewhere.train[samples.samples_per_epoch + 3]), strict=True):
        assert ours.tolist() == theirs.tolist()
    assert sorted(files(tmp_path / "d")) == sorted(before)


def test_other_seeds_and_splits_are_other_orders(million, tmp_path):
    for more in (["--seed", "1"], ["--seed", "2"], ["--seed", "1", "--split", "999999,1"]):
        assert prepare_cache.main(["--data-path", million, "--split", "1", "--data-cache-path", str(tmp_path), *more]) == 0
    assert len(files(tmp_path)) == 3


def test_beside_the_data_where_no_folder_is_named(million, tmp_path):
    for end in (".bin", ".idx"):
        (tmp_path / f"a{end}").symlink_to(million + end)
    assert prepare_cache.main(["--train-data-path", str(tmp_path / "a")]) == 0
    assert len(files(tmp_path / HIDDEN)) == 1


def test_small_data_needs_no_preparing(tmp_path, capsys):
    assert prepare_cache.main(["--data-path", write_numbered(tmp_path / "a", [50] * 100)]) == 0
    assert "nothing is kept" in capsys.readouterr().out
    assert not (tmp_path / HIDDEN).exists()


@pytest.mark.parametrize(("argv", "status", "said"), [
    ([], 2, "--data-path: is missing"),
    (["--data-path", "none"], 1, "none.idx does not exist"),
    (["--mock-data"], 1, "--mock-data: has no order to draw"),
    (["--data-path", "a", "0.5", "b"], 2, "pairs"),
])  # fmt: skip
def test_what_is_wrong_is_said(argv, status, said, capsys):
    assert prepare_cache.main(argv) == status
    assert said in capsys.readouterr().err
