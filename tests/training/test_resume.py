"""A run that was stopped equals the run that was not: bit by bit on the same layout, to 1e-5 on another."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from megatron_ext.checkpoint import manifest
from tests.layouts.training_case import outcome

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUN = (
    "--preset tiny --mock-data --vocab-size 300 --train-iters 10 --global-batch-size 8 --micro-batch-size 2 --seq-length 32"
).split()
DROPOUT = ["--hidden-dropout", "0.1", "--attention-dropout", "0.1"]
LAYOUTS = {
    "TP1": (1, []),
    "TP2+SP": (2, ["--tensor-model-parallel-size", "2", "--sequence-parallel"]),
    "PP2": (2, ["--pipeline-model-parallel-size", "2"]),
    "DP2+ZeRO1": (2, ["--zero-stage", "1", "--overlap-grad-reduce", "--overlap-param-gather"]),
    "bf16": (1, ["--bf16"]),
    "bf16.DP2+ZeRO1": (2, ["--bf16", "--zero-stage", "1"]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_stopped_and_resumed_equals_straight_bit_by_bit(layout, pool, tmp_path):
    world_size, flags = LAYOUTS[layout]
    argv = [*RUN, *DROPOUT, *flags]
    straight = outcome(pool, argv, world_size, tmp_path / "straight")
    first = outcome(pool, [*argv, "--exit-interval", "4"], world_size, tmp_path / "stopped")
    assert len(first.records) == 4
    resumed = outcome(pool, argv, world_size, tmp_path / "stopped")
    for ours, theirs in zip(resumed.records, straight.records, strict=True):
        assert same_training(ours) == same_training(theirs)
    for name, tensor in straight.final.items():
        assert resumed.final[name].equal(tensor), name


@pytest.mark.parametrize(("before", "after"), [("TP2+SP", "DP2+ZeRO1"), ("DP2+ZeRO1", "PP2"), ("PP2", "TP1"), ("TP1", "TP2+SP")])
def test_resumes_on_another_layout(before, after, pool, tmp_path):
    straight = outcome(pool, RUN, 1, tmp_path / "straight")
    outcome(pool, [*RUN, *LAYOUTS[before][1], "--exit-interval", "4"], LAYOUTS[before][0], tmp_path / "moved")
    moved = outcome(pool, [*RUN, *LAYOUTS[after][1]], LAYOUTS[after][0], tmp_path / "moved")
    for ours, theirs in zip(moved.records, straight.records, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
        assert ours["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-5)


def same_training(record: dict) -> dict:
    """A record without what the clock and the allocator decide."""
    return {key: value for key, value in record.items() if not key.startswith(("tokens_per", "flops", "memory"))}


def program(folder, *more):
    environ = os.environ | {"OMP_NUM_THREADS": "1"}
    argv = [*RUN, *DROPOUT, "--device", "cpu", "--save", str(folder), "--save-interval", "2", "--log-interval", "1", *more]
    return subprocess.Popen([sys.executable, str(ROOT / "pretrain_gpt.py"), *argv], env=environ, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True)  # fmt: skip


def test_killed_run_goes_on_by_the_same_command(tmp_path):
    """SIGKILL of the real program after a checkpoint; the same command ends equal to a run that nobody disturbed."""
    undisturbed = program(tmp_path / "undisturbed")
    victim = program(tmp_path / "killed")
    metrics = tmp_path / "killed" / "metrics.jsonl"
    while victim.poll() is None and not (metrics.exists() and len(metrics.read_text().splitlines()) >= 5):
        time.sleep(0.005)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert undisturbed.wait() == 0, undisturbed.stderr.read()
    again = program(tmp_path / "killed")
    assert again.wait() == 0, again.stderr.read()
    records = {name: [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
               for name in ("undisturbed", "killed")}  # fmt: skip
    assert list(map(same_training, records["killed"])) == list(map(same_training, records["undisturbed"]))


def test_a_killed_save_leaves_nothing_that_counts(pool, tmp_path):
    outcome(pool, [*RUN, "--exit-interval", "4"], 1, tmp_path)
    partial = tmp_path / ".iter_0000006.partial"
    partial.mkdir()
    (partial / "__0_0.distcp").write_bytes(b"half")
    resumed = outcome(pool, RUN, 1, tmp_path)
    assert resumed.records[-1]["iteration"] == 10
    assert not partial.exists()


def test_a_damaged_checkpoint_is_set_aside_and_the_run_is_the_same(pool, tmp_path):
    straight = outcome(pool, [*RUN, "--save-interval", "2"], 1, tmp_path / "straight")
    outcome(pool, [*RUN, "--save-interval", "2", "--exit-interval", "6"], 1, tmp_path / "run")
    newest = tmp_path / "run" / "iter_0000006" / "__0_0.distcp"
    newest.write_bytes(newest.read_bytes()[:-100])
    resumed = outcome(pool, [*RUN, "--save-interval", "2"], 1, tmp_path / "run")
    assert list(map(same_training, resumed.records)) == list(map(same_training, straight.records))
    assert (tmp_path / "run" / "iter_0000006.damaged").is_dir()
    assert manifest.problem_of(newest.parent, manifest.read(newest.parent)) is None  # written anew


ANOTHER = ["--num-attention-heads 8 --num-query-groups 4 --kv-channels 8", "--rotary-base 500", "--norm-epsilon 0.1"]


@pytest.mark.parametrize("change", ANOTHER)
def test_another_architecture_is_refused_by_flag(change, pool, tmp_path):
    outcome(pool, [*RUN, "--exit-interval", "2"], 1, tmp_path)
    with pytest.raises(AssertionError, match=f"{change.split()[0]} was"):
        outcome(pool, [*RUN, *change.split()], 1, tmp_path)
