"""Every launcher's environment is understood, and a process can start and stop communication for ever."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from megatron_ext.backend import distributed
from megatron_ext.backend.distributed import Launch, first_host, launch_environment

TORCHRUN = {
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "10.0.0.1",
    "MASTER_PORT": "29500",
}
SRUN = {
    "SLURM_PROCID": "5",
    "SLURM_NTASKS": "7",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "SLURM_TASKS_PER_NODE": "4,3",
    "SLURM_NODELIST": "gpu[07-08]",
    "SLURM_JOB_ID": "1234",
    "SLURM_STEP_ID": "0",
}


def test_plain_python_is_a_world_of_one():
    assert launch_environment({}) == Launch(0, 1, 0, 1, "localhost", 0, "python")


def test_torchrun():
    assert launch_environment(TORCHRUN) == Launch(5, 8, 1, 4, "10.0.0.1", 29500, "torchrun")


def test_torchrun_inside_srun_is_torchrun():
    assert launch_environment(SRUN | TORCHRUN).launcher == "torchrun"


def test_an_address_to_meet_at_is_not_yet_torchrun():
    assert launch_environment({"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}) == Launch()


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"LOCAL_RANK": "", "MASTER_PORT": ""}, "but not LOCAL_RANK, MASTER_PORT: launch with torchrun"),
        ({"RANK": "first"}, "RANK is 'first' in the environment, but should be a number"),
    ],
)
def test_half_of_torchruns_environment_is_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        launch_environment(TORCHRUN | change)


def test_srun():
    assert launch_environment(SRUN) == Launch(5, 7, 1, 3, "gpu07", 12000 + 1234 * 16, "srun")


@pytest.mark.parametrize(
    "change, expected",
    [
        ({"SLURM_TASKS_PER_NODE": "4(x2),3", "SLURM_NODEID": "1"}, {"local_world_size": 4}),
        ({"SLURM_TASKS_PER_NODE": "", "SLURM_NTASKS_PER_NODE": "2"}, {"local_world_size": 2}),
        ({"SLURM_STEP_TASKS_PER_NODE": "2(x2)", "SLURM_STEP_NUM_TASKS": "4"}, {"local_world_size": 2, "world_size": 4}),
        ({"SLURM_STEP_NODELIST": "gpu08"}, {"master_addr": "gpu08"}),
        ({"MASTER_ADDR": "head", "MASTER_PORT": "6000"}, {"master_addr": "head", "master_port": 6000}),
        ({"SLURM_STEP_ID": "3"}, {"master_port": 12000 + 1234 * 16 + 3}),
        ({"SLURM_NTASKS": "1"}, {"world_size": 1, "local_world_size": 1, "rank": 0}),
    ],
)
def test_srun_says_it_in_many_ways(change, expected):
    launch = launch_environment(SRUN | change)
    assert {name: getattr(launch, name) for name in expected} == expected


@pytest.mark.parametrize("step", [None, "4294967290", "4294967291"], ids=["older salloc", "salloc's shell", "sbatch's script"])
def test_a_shell_inside_an_allocation_is_a_world_of_one(step):
    environ = {name: value for name, value in (SRUN | {"SLURM_STEP_ID": step}).items() if value is not None}
    assert launch_environment(environ) == Launch()


def test_srun_without_its_variables_is_refused():
    with pytest.raises(ValueError, match="SLURM_STEP_NODELIST or SLURM_NODELIST is not set"):
        launch_environment(SRUN | {"SLURM_NODELIST": ""})


@pytest.mark.parametrize(
    "nodelist, host",
    [
        ("login1", "login1"),
        ("a,b", "a"),
        ("gpu[07-08]", "gpu07"),
        ("gpu[3,9],cpu1", "gpu3"),
        ("n[001-004,7].site", "n001.site"),
        ("rack[2-3]node[10-12]", "rack2node10"),
        ("a-b-1", "a-b-1"),
        ("[01-02]x", "01x"),
    ],
)
def test_first_host_of_slurms_notation(nodelist, host):
    assert first_host(nodelist) == host


def test_reading_the_environment_imports_no_torch():
    code = (
        "from megatron_ext.backend import distributed; distributed.launch_environment(); import sys; "
        "assert not {'torch', 'megatron', 'megatron.core'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "gpu, asked, given",
    [
        (True, "auto", "cuda"),
        (False, "auto", "cpu"),
        (True, "cpu", "cpu"),
        (True, "cuda", "cuda"),
    ],
)
def test_device(gpu, asked, given, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert distributed.resolve_device(asked) == given


@pytest.mark.parametrize("asked, sentence", [("cuda", "--device cuda: "), ("tpu", "choose auto, cpu or cuda")])
def test_a_device_that_is_not_there_is_refused(asked, sentence, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=sentence):
        distributed.resolve_device(asked)


# --- with processes ---------------------------------------------------------------------------------------------------


def use_every_group() -> int:
    """Something through each of megatron-core's groups; how many there are."""
    distributed.initialize_model_parallel(tensor=2, pipeline=2)
    groups = list(torch.distributed.distributed_c10d._world.pg_map)
    for group in groups:
        ones = torch.ones(1000)
        torch.distributed.all_reduce(ones, group=group)
        assert (ones == group.size()).all()
    return len(groups)


def test_twenty_starts_leave_no_descriptor_and_no_thread_behind(pool, together):
    for _ in range(20):
        assert min(together(4, use_every_group)) > 15
    for usage in pool.usage:
        assert len(set(usage[-20:])) == 1


def globals_of_megatron() -> dict:
    from megatron.core import num_microbatches_calculator, parallel_state, rerun_state_machine
    from megatron.core.tensor_parallel import random

    state = {name: value for name, value in vars(parallel_state).items() if name.startswith("_") and name.isupper() and value}
    state["rng"] = random.get_cuda_rng_tracker().get_states()
    state["calculator"] = num_microbatches_calculator._GLOBAL_NUM_MICROBATCHES_CALCULATOR
    state["rerun"] = rerun_state_machine._GLOBAL_RERUN_STATE_MACHINE
    state["checkpointing"] = random.is_checkpointing()
    return {name: value for name, value in state.items() if value}


def dirty_globals_of_megatron() -> int:
    from megatron.core.num_microbatches_calculator import init_num_microbatches_calculator
    from megatron.core.rerun_state_machine import initialize_rerun_state_machine
    from megatron.core.tensor_parallel import random

    distributed.initialize_model_parallel()
    init_num_microbatches_calculator(0, None, 8, 2, 1)
    initialize_rerun_state_machine()
    random._set_checkpointing()
    return len(globals_of_megatron())


def test_stop_forgets_megatrons_state(together):
    assert together(1, dirty_globals_of_megatron)[0] > 20
    assert together(1, globals_of_megatron) == [{}]


def dropout_masks() -> list[list[float]]:
    from megatron.core.tensor_parallel import get_cuda_rng_tracker

    distributed.initialize_model_parallel(tensor=2, pipeline=2, seed=7)
    outside = torch.rand(3).tolist()
    with get_cuda_rng_tracker().fork():
        return [outside, torch.rand(3).tolist()]


def test_dropout_differs_where_activations_differ(together):
    outside, inside = zip(*together(4, dropout_masks))
    assert outside[0] == outside[1] != outside[2] == outside[3]  # the same tokens on both tensor-parallel ranks of a stage
    assert len({tuple(mask) for mask in inside}) == 4  # other heads and hidden units on each
    again_outside, again_inside = zip(*together(4, dropout_masks))
    assert (again_outside, again_inside) == (outside, inside)


def where_it_listens() -> set[str]:
    import psutil

    return {each.laddr.ip for each in psutil.Process().net_connections() if each.status == "LISTEN"}


def test_a_world_on_one_machine_stays_on_its_loopback(together):
    assert together(2, where_it_listens)[1] <= {"127.0.0.1", "::1"}  # rank 0 serves the store, too


def test_threads_are_shared_among_the_processes_of_a_machine(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(12), raising=False)
    threads = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    distributed._use_own_share_of_cores(Launch(local_world_size=4))
    distributed._use_own_share_of_cores(Launch(local_world_size=16))
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "6")
    distributed._use_own_share_of_cores(Launch(local_world_size=4, launcher="srun"))
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    distributed._use_own_share_of_cores(Launch(local_world_size=4))
    assert threads == [3, 1, 6]


def test_a_launch_through_torchrun(tmp_path):
    script = tmp_path / "sum.py"
    script.write_text(
        "import torch\n"
        "from megatron_ext.backend import distributed\n"
        "launch = distributed.launch_environment()\n"
        "device = distributed.start(launch, distributed.resolve_device('cpu'))\n"
        "for _ in range(2):\n"
        "    ranks = torch.tensor(launch.rank + 1.0, device=device)\n"
        "    torch.distributed.all_reduce(ranks)\n"
        "    assert ranks == 3 and torch.distributed.get_backend() == 'gloo'\n"
        "    distributed.stop()\n"
        "    distributed.start(launch, 'cpu')\n"
        "distributed.stop()\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", str(script)]
    environ = os.environ | {"PYTHONPATH": os.getcwd(), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
