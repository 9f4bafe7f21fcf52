"""The benchmark's made-up data is real data, and its command runs in small. Nothing here is timed."""

from __future__ import annotations

import numpy as np
import pytest
from megatron.core.datasets.indexed_dataset import IndexedDataset

from megatron_ext.benchmarks import data
from tools import benchmark


@pytest.mark.parametrize("real", [True, False])
def test_made_up_pairs_are_pairs(tmp_path, monkeypatch, real):
    monkeypatch.setattr(data, "_CHUNK", 100)
    tokens = data.make_pair(str(tmp_path / "a"), 1050, 30, real)
    found = IndexedDataset(str(tmp_path / "a"))
    assert (len(found), int(found.sequence_lengths.sum())) == (1050, tokens)
    assert found.document_indices.tolist() == list(range(1051))
    assert 0 < found.sequence_lengths.min() and found.sequence_lengths.max() < 60
    assert (np.concatenate([found[number] for number in range(1050)]).max() > 0) == real


def test_parts_in_small(tmp_path):
    tokens = data.make_pair(str(tmp_path / "a"), 3000, 50, real=True)
    first = data._first_batches([str(tmp_path / "a")], 1, workers=1, start=0.0)
    assert 0 < first["data"] < first["all"] and first["memory"] > 50e6
    assert tokens > 0 < data._loader_rate(str(tmp_path / "a"), 64, 2, 1, 0.05, start=0.0)


@pytest.mark.full
def test_it_runs_in_small_and_leaves_nothing(tmp_path, capsys):
    argv = ["data", "--folder", str(tmp_path / "b"), "--documents", "20000", "--seconds", "0.2", "--tokens-per-document", "50"]
    assert benchmark.main(argv) == 0
    said = capsys.readouterr().out
    for what in (
        "large data set",
        "first batch, cold",
        "first batch, cached",
        "100 pairs of 200, cold",
        "100 pairs of 200, cached",
        "training, preset tiny",
        "loader, large, length 4096",
    ):
        assert what in said
    assert not (tmp_path / "b").exists()


def test_unknown_benchmarks_are_refused(capsys):
    assert benchmark.main(["dat"]) == 2
    assert "dat cannot be measured; did you mean data?" in capsys.readouterr().err
    assert benchmark.main([]) == 2
    assert "benchmarks are: data" in capsys.readouterr().err
