"""The Chrome trace holds the updates asked for, of the processes asked for."""

from __future__ import annotations

import gzip
import json

import pytest

from tests.arguments.test_config import problems
from tests.layouts.training_case import outcome

BASE = ["--preset", "tiny", "--num-layers", "2", "--vocab-size", "200", "--seq-length", "16", "--global-batch-size", "4",
        "--micro-batch-size", "1", "--mock-data", "--train-iters", "6"]  # fmt: skip


def calls(path, name):
    with gzip.open(path, "rt") as file:
        events = json.load(file)["traceEvents"]
    return [event for event in events if event.get("name") == name]


def test_trace_holds_the_updates_asked_for(pool, tmp_path):
    profile = ["--profile", "--profile-step-start", "1"]
    outcome(pool, [*BASE, *profile, "--profile-step-end", "2", "--profile-ranks", "1"], 2, tmp_path / "one")
    outcome(pool, [*BASE, *profile, "--profile-step-end", "4", "--profile-ranks", "0", "1"], 2, tmp_path / "three")
    attention = "aten::scaled_dot_product_attention"
    assert not (tmp_path / "one" / "trace_rank0.json.gz").exists()
    # Two layers, two micro-batches for each of two processes.
    assert len(calls(tmp_path / "one" / "trace_rank1.json.gz", attention)) == 4
    for rank in (0, 1):
        assert len(calls(tmp_path / "three" / f"trace_rank{rank}.json.gz", attention)) == 12
    assert not list(tmp_path.rglob("*.partial*"))


def test_a_run_that_ends_in_the_middle_still_writes(pool, tmp_path):
    outcome(pool, [*BASE, "--profile", "--profile-step-start", "2", "--exit-interval", "3"], 1, tmp_path)
    assert calls(tmp_path / "trace_rank0.json.gz", "aten::scaled_dot_product_attention")


def test_profiling_changes_nothing(pool, tmp_path):
    plain = outcome(pool, BASE, 1, tmp_path / "plain")
    traced = outcome(pool, [*BASE, "--profile", "--profile-step-start", "0"], 1, tmp_path / "traced")
    assert [r["loss"] for r in traced.records] == [r["loss"] for r in plain.records]


@pytest.mark.parametrize(("argv", "says"), [
    (["--profile"], "writes into the run's folder, and there is none"),
    (["--profile-ranks", "0"], "has no effect without --profile"),
    (["--profile", "--save", "x", "--profile-step-end", "3"], "--profile-step-end 3: is not above --profile-step-start 10"),
    (["--profile", "--save", "x", "--profile-ranks", "0", "2"], "is no process of this run"),
    (["--profile", "--save", "x"], "--profile-step-start 10: is not below the 6 updates of the run"),
])  # fmt: skip
def test_what_would_write_nothing_is_refused(argv, says):
    assert says in "\n".join(map(str, problems([*BASE, *argv])))
