"""SIGTERM of the real program under torchrun: to one worker inside a save, then to torchrun itself, as a cluster does it."""

from __future__ import annotations

import signal
import subprocess
import time

import psutil
import pytest

from megatron_ext.reliability.preemption import STATUS
from tests.faults.test_kill import RUN, start
from tests.reliability.same_run import assert_same_run, iterations
from tests.reliability.test_stopping import program

FLAGS = ["--zero-stage", "1"]


def worker(torchrun: subprocess.Popen, rank: int) -> psutil.Process:
    return next(
        child for child in psutil.Process(torchrun.pid).children(recursive=True) if child.environ().get("RANK") == str(rank)
    )


def wait_for(condition, running: subprocess.Popen) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert running.poll() is None and time.monotonic() < deadline, "the run ended, or the moment never came"
        time.sleep(0.002)


@pytest.mark.timeout(300)
def test_stopped_under_torchrun_and_resumed_equals_straight(pool, tmp_path):
    folder, errors = tmp_path / "run", tmp_path / "run.stderr"
    first = start(folder, *FLAGS, processes=2)
    wait_for(lambda: len(iterations(folder)) >= 3 and list(folder.glob(".iter_*.partial")), first)
    worker(first, rank=1).send_signal(signal.SIGTERM)
    assert first.wait(60) == 1  # torchrun's own; the workers' status is in its report
    assert f"exitcode  : {STATUS}" in errors.read_text()
    stopped = iterations(folder)[-1]
    assert (folder / f"iter_{stopped:07d}").is_dir() and stopped < 60

    second = start(folder, *FLAGS, processes=2)
    wait_for(lambda: len(iterations(folder)) >= stopped + 3, second)
    second.send_signal(signal.SIGTERM)
    assert second.wait(60) == 1
    again = iterations(folder)[-1]
    assert stopped < again < 60 and (folder / f"iter_{again:07d}").is_dir()

    assert start(folder, *FLAGS, processes=2).wait(90) == 0, errors.read_text()[-2000:]
    straight = tmp_path / "straight"
    pool.run(program, 2, [*RUN, *FLAGS], str(straight), None)
    assert_same_run(pool, folder, straight, RUN)
