"""The order that tools/prepare_cache.py draws is the one that a run finds."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile

import numpy as np
import pytest

from megatron_ext.data.build import build
from megatron_ext.data.cache import HIDDEN, LEAST
from megatron_ext.data.flags import DataFlags
from megatron_ext.data.indexed_writer import IndexedWriter
from tests.data.pairs import told_without_rights, write_numbered
from tools import prepare_cache

DOCUMENTS = LEAST + 50


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """The prefix of a pair of short documents, just so many that their order is kept."""
    return write_large(str(tmp_path_factory.mktemp("large") / "large"))


def write_large(prefix):
    writer = IndexedWriter(prefix, "uint16")
    lengths = np.random.default_rng(0).integers(0, 4, DOCUMENTS).astype(np.int32)
    writer.add(np.arange(int(lengths.sum())).astype(np.uint16), lengths)
    writer.seal()
    writer.publish()
    return prefix


def files(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_a_run_finds_what_was_prepared(large, tmp_path, capsys):
    argv = ["--data-path", large, "--split", "1", "--seed", "7", "--epochs", "2", "--data-cache-path", str(tmp_path / "c")]
    assert prepare_cache.main(argv) == 0
    assert capsys.readouterr().out.startswith("2 order(s) are in the cache")
    before = files(tmp_path / "c")
    flags = DataFlags(data_path=(large,), split="1", data_cache_path=str(tmp_path / "c"))
    samples = build(flags, seq_length=64, seed=7, evaluates=False).train
    samples._draw_ends = None  # would fail if it were called
    found = samples[0], samples[samples.samples_per_epoch + 3]
    assert files(tmp_path / "c") == before
    elsewhere = build(DataFlags(data_path=(large,), split="1", data_cache_path=str(tmp_path / "d")), 64, 7, evaluates=False)
    for ours, theirs in zip(found, (elsewhere.train[0], elsewhere.train[samples.samples_per_epoch + 3]), strict=True):
        assert ours.tolist() == theirs.tolist()
    assert sorted(files(tmp_path / "d")) == sorted(before)


def test_other_seeds_and_splits_are_other_orders(large, tmp_path):
    for more in (["--seed", "1"], ["--seed", "2"], ["--seed", "1", "--split", "9999,1"]):
        assert prepare_cache.main(["--data-path", large, "--split", "1", "--data-cache-path", str(tmp_path), *more]) == 0
    assert len(files(tmp_path)) == 3


def test_beside_the_data_where_no_folder_is_named(large, tmp_path):
    for end in (".bin", ".idx"):
        (tmp_path / f"a{end}").symlink_to(large + end)
    assert prepare_cache.main(["--train-data-path", str(tmp_path / "a")]) == 0
    assert len(files(tmp_path / HIDDEN)) == 1


def test_each_pair_of_a_blend_is_prepared(large, tmp_path, capsys):
    for name in ("a.bin", "a.idx", "b.bin", "b.idx"):
        (tmp_path / name).symlink_to(large + name[1:])
    small = write_numbered(tmp_path / "small", [50] * 100)
    argv = ["--train-data-path", str(tmp_path / "a"), small, str(tmp_path / "b"), "--data-cache-path", str(tmp_path / "c")]
    assert prepare_cache.main(argv) == 0
    assert capsys.readouterr().out.startswith("2 order(s) are in the cache")
    assert len(files(tmp_path / "c")) == 2


def test_what_could_not_be_written_is_no_success():
    def status_and_words(*argv):
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as error:
            return prepare_cache.main(argv), out.getvalue(), error.getvalue()

    with tempfile.TemporaryDirectory() as folder:
        prefix = write_large(f"{folder}/a")
        os.chmod(folder, 0o555)
        beside = told_without_rights(lambda: status_and_words("--train-data-path", prefix, "--epochs", "2"))
        asked = told_without_rights(
            lambda: status_and_words("--train-data-path", prefix, "--data-cache-path", f"{folder}/c", "--epochs", "2")
        )
        os.chmod(folder, 0o755)
    assert beside.startswith("(1, '', ") and f"{folder}/{HIDDEN}: cannot be written (Permission denied)" in beside
    assert f"2 of 2 order(s) could not be written, among them {folder}/{HIDDEN}/" in beside
    assert asked.startswith("(1, '', ") and f"--data-cache-path {folder}/c: cannot be written (Permission denied)" in asked


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
