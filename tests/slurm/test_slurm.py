"""Two nodes under a real SLURM: srun starts the processes, and examples/slurm's own script stops, saves, requeues and resumes."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import time

import psutil
import pytest

from tests.reliability.same_run import assert_same_run, iterations
from tests.reliability.test_stopping import program
from tests.slurm.cluster import free_ports

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = "examples/slurm/pretrain_llama_7b.sbatch"
TWO_NODES = ["--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=1", f"--chdir={ROOT}"]
HERE = {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}  # both nodes are this machine


def ranks_by_node(cluster) -> dict[str, str]:
    """Node → rank, of the processes of pretrain_gpt.py that run on the cluster now."""
    found = {}
    for process in psutil.process_iter():
        try:
            environ = process.environ()
            if environ.get("SLURM_CONF") == cluster.environ["SLURM_CONF"] and "pretrain_gpt.py" in process.cmdline():
                if "SLURMD_NODENAME" in environ and process.name() != "srun":
                    found[environ["SLURMD_NODENAME"]] = environ["SLURM_PROCID"]
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def submit(cluster, folder: pathlib.Path, *options: str, **environ: str) -> str:
    """Submit the example; the job's number."""
    settings = {"SMOKE": "1", "PYTHON": sys.executable, "SAVE": str(folder), "EVAL_INTERVAL": "1000", "REPOSITORY": str(ROOT)}
    output = f"--output={folder.with_suffix('.log')}"
    command = ["sbatch", "--parsable", *TWO_NODES, "--gpus-per-node=0", output, *options, str(ROOT / SCRIPT)]
    return cluster.call(*command, **HERE, **settings, **environ).strip()


def wait_for(cluster, job: str, condition, seconds: float = 90) -> None:
    """Until `condition()`; a job that is over before is a failure."""
    deadline = time.monotonic() + seconds
    while not condition():
        state = cluster.job(job)["JobState"]
        assert state not in ("FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL") and time.monotonic() < deadline, (
            f"{cluster.job(job)}\n{cluster.logs()}"
        )
        time.sleep(0.5)


def assert_equals_straight(pool, folder: pathlib.Path) -> None:
    """The run of a job against the same configuration that nobody disturbed, on two processes of the pool."""
    straight, config = folder.with_name("straight"), ["--config", str(folder / "run.yaml")]
    assert {status for status, *_ in pool.run(program, 2, config, str(straight), None)} == {0}
    assert_same_run(pool, folder, straight, config)


@pytest.mark.timeout(300)
def test_the_example_job_saves_requeues_and_ends_as_the_undisturbed_run(cluster, pool, tmp_path):
    folder, log = tmp_path / "run", tmp_path / "run.log"
    job = submit(cluster, folder, "--time=9", "--signal=TERM@30")
    wait_for(cluster, job, lambda: len(iterations(folder)) >= 4)
    assert ranks_by_node(cluster) == {"n1": "0", "n2": "1"}
    cluster.call("scancel", "--signal=TERM", job)  # as --signal does before the time limit: to the tasks
    wait_for(cluster, job, lambda: cluster.job(job)["Restarts"] == "1")
    stopped = iterations(folder)[-1]
    assert 4 <= stopped < 20 and (folder / f"iter_{stopped:07d}").is_dir()
    wait_for(cluster, job, lambda: cluster.job(job)["JobState"] == "COMPLETED")
    said = log.read_text()
    assert said.count("stopped by --exit-signal SIGTERM") == 1 and f"resuming after iteration {stopped}" in said
    assert said.count("Exited with exit code 75") == 2, said
    assert_equals_straight(pool, folder)


@pytest.mark.timeout(300)
def test_srun_starts_the_program_on_two_nodes(cluster, pool, tmp_path):
    flags = "--preset tiny --mock-data --vocab-size 300 --seq-length 32 --train-iters 5 --log-interval 1 --device cpu".split()
    command = ["srun", *TWO_NODES, "--time=5", sys.executable, "pretrain_gpt.py", *flags, "--save", str(tmp_path / "run")]
    environ = cluster.environ | HERE | {"OMP_NUM_THREADS": "1", "MASTER_PORT": str(free_ports(1)[0])}
    srun = subprocess.Popen(command, env=environ, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    nodes = {}
    while srun.poll() is None:
        nodes |= ranks_by_node(cluster)
        time.sleep(0.5)
    assert srun.returncode == 0, srun.stdout.read()
    assert nodes == {"n1": "0", "n2": "1"}
    assert_equals_straight(pool, tmp_path / "run")


@pytest.mark.full
@pytest.mark.timeout(900)
def test_the_time_limit_itself(cluster, pool, tmp_path):
    """SLURM's own signal before the limit, which it looks at twice a minute. The run outlasts one job's two minutes."""
    folder = tmp_path / "run"
    job = submit(cluster, folder, "--time=2", "--signal=TERM@60", TRAIN_TOKENS="307200", SAVE_INTERVAL="1000")
    wait_for(cluster, job, lambda: cluster.job(job)["JobState"] == "COMPLETED", seconds=800)
    assert int(cluster.job(job)["Restarts"]) >= 1
    assert_equals_straight(pool, folder)
