"""pretrain_gpt.py's own main in the pool's workers: a signal to one rank, at any moment, stops and saves the run on all.

Through real launchers: tests/faults/test_exit_signal.py and tests/slurm.
"""

from __future__ import annotations

import os
import pathlib
import signal
import sys
import threading
import time

import pytest

from megatron_ext.reliability.preemption import STATUS
from tests.reliability.same_run import assert_same_run, iterations

RUN = (
    "--preset tiny --mock-data --vocab-size 300 --train-iters 12 --global-batch-size 8 --micro-batch-size 2 --seq-length 32 "
    "--hidden-dropout 0.1 --attention-dropout 0.1 --device cpu --log-interval 1"
).split()
LAYOUTS = {
    "one": (1, []),
    "TP2": (2, ["--tensor-model-parallel-size", "2"]),
    "DP2+ZeRO1": (2, ["--zero-stage", "1"]),
    "PP2": (2, ["--pipeline-model-parallel-size", "2"]),
}


def program(launch, argv: list[str], folder: str, inside: str | None, number: int = signal.SIGTERM):
    """Run the program; the last rank alone gets the signal when `folder` has two records and `inside` runs there.

    Returns the exit status, and whether this process's handler for the signal is again what it was.
    """
    import pretrain_gpt

    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    values = (launch.rank, launch.world_size, launch.rank, launch.world_size, launch.master_addr, launch.master_port)
    heard = []
    handler = signal.signal(number, lambda *_: heard.append(1))
    os.environ |= {name: str(value) for name, value in zip(names, values)}
    try:
        ours, main = signal.getsignal(number), threading.get_ident()
        if inside is not None and launch.rank == launch.world_size - 1:
            threading.Thread(target=strike, args=(pathlib.Path(folder), inside, number, main, ours), daemon=True).start()
        status = pretrain_gpt.main([*argv, "--save", folder])
        return status, signal.getsignal(number) is ours, bool(heard)
    finally:
        for name in names:
            del os.environ[name]
        signal.signal(number, handler)


def strike(folder: pathlib.Path, inside: str, number: int, main: int, ours) -> None:
    """Wait for the moment, and send this process the signal."""
    records = folder / "metrics.jsonl"
    listening = lambda: signal.getsignal(number) is not ours
    while not (inside == "start" and listening()) and not (
        records.exists() and records.read_text().count("\n") >= 2 and inside in running(main)
    ):
        time.sleep(0.0005)
    os.kill(os.getpid(), number)


def running(thread: int) -> set[str]:
    """Names of the functions that a thread is in."""
    names, frame = set(), sys._current_frames().get(thread)
    while frame is not None:
        names.add(frame.f_code.co_name)
        frame = frame.f_back
    return names


@pytest.fixture(scope="module")
def straight(pool, tmp_path_factory):
    """The folder of the run that nobody stopped, by layout."""
    known = {}

    def of(layout):
        if layout not in known:
            world_size, flags = LAYOUTS[layout]
            known[layout] = tmp_path_factory.mktemp("straight")
            pool.run(program, world_size, [*RUN, *flags], str(known[layout]), None)
        return known[layout]

    return of


@pytest.mark.parametrize(("inside", "layout", "flags"), [
    ("start", "DP2+ZeRO1", []),
    ("train_step", "TP2", []),
    pytest.param("train_step", "PP2", [], marks=pytest.mark.full),
    ("evaluate", "PP2", ["--eval-interval", "3", "--eval-iters", "100000"]),  # would take hours
    ("complete", "DP2+ZeRO1", ["--save-interval", "1"]),
    ("save", "one", ["--save-interval", "1", "--async-save"]),
])  # fmt: skip
def test_stopped_at_any_moment_and_resumed_equals_straight(inside, layout, flags, pool, straight, tmp_path):
    world_size, spread = LAYOUTS[layout]
    found = pool.run(program, world_size, [*RUN, *spread, *flags], str(tmp_path), inside)
    assert found == [(STATUS, True, False)] * world_size
    done = iterations(tmp_path)
    checkpoints = [int(path.name[5:]) for path in sorted(tmp_path.glob("iter_*"))]
    if inside == "start":
        assert done == checkpoints == []  # there is nothing to save yet
    else:
        assert 2 <= done[-1] < 12 and checkpoints[-1] == done[-1]
    assert pool.run(program, world_size, [*RUN, *spread], str(tmp_path), None) == [(0, True, False)] * world_size
    assert_same_run(pool, tmp_path, straight(layout), RUN)


def test_a_signal_in_the_last_update_does_not_unmake_a_run_that_is_done(pool, tmp_path):
    argv = [*RUN, "--train-iters", "3", "--eval-interval", "3", "--eval-iters", "100000"]
    assert pool.run(program, 1, argv, str(tmp_path), "evaluate") == [(0, True, False)]
    assert iterations(tmp_path) == [1, 2, 3]


def test_another_signal(pool, tmp_path):
    argv = [*RUN, "--exit-signal", "SIGUSR1"]
    assert pool.run(program, 1, argv, str(tmp_path), "train_step", signal.SIGUSR1) == [(STATUS, True, False)]


def test_without_the_handler_the_signal_is_not_ours(pool, tmp_path):
    """Whoever handled it before handles it still: in a program of its own, the system, which ends it."""
    argv = [*RUN, "--no-exit-signal-handler"]
    assert pool.run(program, 1, argv, str(tmp_path), "train_step") == [(0, True, True)]
    assert iterations(tmp_path) == list(range(1, 13))


@pytest.mark.parametrize(("flags", "sentence"), [
    (["--exit-signal", "SIGUSR1"], "--exit-signal SIGUSR1: has no effect without --save"),
    (["--save", "runs/x", "--exit-signal", "SIGUSR1", "--no-exit-signal-handler"], "has no effect with --no-exit-signal-handler"),
    (["--save", "runs/x", "--exit-signal", "USR1"], "did you mean SIGUSR1"),
])  # fmt: skip
def test_what_cannot_be_is_said(flags, sentence):
    from megatron_ext.arguments.problems import ConfigurationError
    from megatron_ext.training.configuration import read_configuration

    with pytest.raises(ConfigurationError, match=sentence):
        read_configuration([*RUN, *flags], 1)
