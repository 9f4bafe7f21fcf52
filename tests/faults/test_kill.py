"""SIGKILL of the real program at random instants, half of them inside a save: the same command always goes on, and the run
ends bit by bit as the one that nobody disturbed."""

from __future__ import annotations

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.training.test_resume import same_training

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUN = (
    "--preset tiny --mock-data --vocab-size 300 --train-iters 60 --global-batch-size 8 --micro-batch-size 2 --seq-length 32 "
    "--hidden-dropout 0.1 --attention-dropout 0.1 --device cpu --log-interval 1 --save-interval 1 --keep-last 3"
).split()


def start(folder: pathlib.Path, *more: str, processes: int = 1) -> subprocess.Popen:
    """The program as a user starts it, in a process group of its own."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [*(launcher if processes > 1 else [sys.executable]), str(ROOT / "pretrain_gpt.py"), *RUN, "--save", str(folder)]
    with open(folder.with_suffix(".stderr"), "ab") as errors:
        return subprocess.Popen([*command, *more], env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL,
                                stderr=errors, start_new_session=True)  # fmt: skip


def lines(folder: pathlib.Path) -> int:
    path = folder / "metrics.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


def kill(victim: subprocess.Popen, folder: pathlib.Path, inside_a_save: bool, draw: random.Random) -> bool:
    """Wait for progress, then for an instant by chance, and kill the whole group; whether it was still running."""
    before, deadline = lines(folder), time.monotonic() + 90
    while victim.poll() is None and lines(folder) <= before and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(draw.uniform(0, 0.3))
    while inside_a_save and victim.poll() is None and not list(folder.glob(".iter_*.partial")):
        pass
    time.sleep(draw.uniform(0, 0.004) if inside_a_save else 0)
    running = victim.poll() is None
    os.killpg(victim.pid, signal.SIGKILL) if running else None
    victim.wait()
    return running


def records(folder: pathlib.Path) -> list[dict]:
    return [same_training(json.loads(line)) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("kills", "processes", "flags"), [
    pytest.param(2, 1, ["--async-save"], id="2 kills"),
    pytest.param(20, 1, [], id="20 kills", marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    pytest.param(20, 1, ["--async-save"], id="20 kills, async", marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    pytest.param(20, 2, ["--zero-stage", "1", "--async-save"], id="20 kills, two processes",
                 marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
])  # fmt: skip
def test_killed_again_and_again(kills, processes, flags, tmp_path):
    draw = random.Random(kills + processes + len(flags))
    undisturbed = start(tmp_path / "undisturbed", *flags, processes=processes)
    struck = 0
    for number in range(kills):
        victim = start(tmp_path / "killed", *flags, processes=processes)
        struck += kill(victim, tmp_path / "killed", inside_a_save=number % 2 == 0, draw=draw)
    assert undisturbed.wait() == 0, (tmp_path / "undisturbed.stderr").read_text()[-2000:]
    assert start(tmp_path / "killed", *flags, processes=processes).wait() == 0, (tmp_path / "killed.stderr").read_text()[-2000:]
    assert struck >= kills // 2
    assert records(tmp_path / "killed") == records(tmp_path / "undisturbed")
    assert [record["iteration"] for record in records(tmp_path / "killed")] == list(range(1, 61))
