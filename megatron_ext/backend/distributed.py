"""Starts and stops the communication between a run's processes, however they were launched.

torchrun, srun and plain python all end in a `Launch`, which is a pure function of the environment and needs no torch (the
flags' validator reads it). `start` makes the process group, `initialize_model_parallel` megatron-core's subgroups and
`stop` takes everything down again, completely: a process can go through many layouts, as the tests do.
"""

from __future__ import annotations

import gc
import os
import re
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from megatron_ext.arguments.problems import UserError

if TYPE_CHECKING:
    import torch

TORCHRUN_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
FIRST_SPECIAL_STEP = 0xFFFFFFF0  # SLURM numbers the batch script, salloc's shell and the like from here: no srun behind them


@dataclass(frozen=True)
class Launch:
    """Who this process is among the run's processes, and where they meet."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    master_addr: str = "localhost"
    master_port: int = 0
    launcher: str = "python"  # or torchrun, srun


def launch_environment(environ: Mapping[str, str] = os.environ) -> Launch:
    """Read from the environment how this process was launched. UserError if torchrun's variables are half set."""
    if any(name in environ for name in TORCHRUN_VARIABLES[:4]):
        return _launched_by_torchrun(environ)
    if environ.get("SLURM_PROCID") and environ.get("SLURM_STEP_ID") and _number(environ, "SLURM_STEP_ID") < FIRST_SPECIAL_STEP:
        return _launched_by_srun(environ)
    return Launch()


def _launched_by_torchrun(environ: Mapping[str, str]) -> Launch:
    missing = [name for name in TORCHRUN_VARIABLES if not environ.get(name)]
    if missing:
        present = [name for name in TORCHRUN_VARIABLES if environ.get(name)]
        raise UserError(
            f"{', '.join(present)} set in the environment but not {', '.join(missing)}: launch with torchrun, which sets "
            f"them all, or unset them to run one process"
        )
    rank, world_size, local_rank, local_world_size, port = (
        _number(environ, name) for name in TORCHRUN_VARIABLES if name != "MASTER_ADDR"
    )
    return Launch(rank, world_size, local_rank, local_world_size, environ["MASTER_ADDR"], port, "torchrun")


def _launched_by_srun(environ: Mapping[str, str]) -> Launch:
    world_size = _number(environ, "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS")
    if world_size == 1:
        return Launch(launcher="srun")
    meeting = 16 * _number(environ, "SLURM_JOB_ID") + _number(environ, "SLURM_STEP_ID")
    return Launch(
        rank=_number(environ, "SLURM_PROCID"),
        world_size=world_size,
        local_rank=_number(environ, "SLURM_LOCALID"),
        local_world_size=_tasks_on_this_node(environ, world_size),
        master_addr=environ.get("MASTER_ADDR") or first_host(_text(environ, "SLURM_STEP_NODELIST", "SLURM_NODELIST")),
        # the same for all tasks of the step, below the range of ephemeral ports
        master_port=_number(environ, "MASTER_PORT") if environ.get("MASTER_PORT") else 12000 + meeting % 20000,
        launcher="srun",
    )


def _tasks_on_this_node(environ: Mapping[str, str], world_size: int) -> int:
    counts = environ.get("SLURM_STEP_TASKS_PER_NODE") or environ.get("SLURM_TASKS_PER_NODE")
    if not counts:
        return _number(environ, "SLURM_NTASKS_PER_NODE") if environ.get("SLURM_NTASKS_PER_NODE") else world_size
    per_node: list[int] = []  # "4(x2),3" says 4, 4, 3
    for count, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", counts):
        per_node += [int(count)] * int(times or 1)
    node = int(environ.get("SLURM_NODEID") or 0)
    return per_node[min(node, len(per_node) - 1)]


def _text(environ: Mapping[str, str], *names: str) -> str:
    for name in names:
        if environ.get(name):
            return environ[name]
    raise UserError(f"{' or '.join(names)} is not set in the environment, but needed to find the other processes of this run")


def _number(environ: Mapping[str, str], *names: str) -> int:
    text = _text(environ, *names)
    if not text.isdecimal():
        raise UserError(f"{' or '.join(names)} is {text!r} in the environment, but should be a number")
    return int(text)


def first_host(nodelist: str) -> str:
    """The first host of SLURM's notation: `gpu[03-05,9],cpu1` gives `gpu03`."""
    first = re.match(r"(?:\[[^\]]*\]|[^,\[])+", nodelist).group()
    return re.sub(r"\[([^\],-]+)[^\]]*\]", r"\1", first)


def resolve_device(device: str) -> str:
    """`auto` becomes `cuda` where a GPU can be used, else `cpu`. UserError for `cuda` where none can."""
    import torch

    if device == "cpu":
        return "cpu"
    available = torch.cuda.is_available()
    if device == "auto":
        return "cuda" if available else "cpu"
    if device == "cuda" and not available:
        why = "this torch was built without CUDA" if torch.version.cuda is None else "torch finds no usable GPU"
        raise UserError(f"--device cuda: {why}; use --device cpu, or auto to take what is there")
    if device != "cuda":
        raise UserError(f"--device {device}: choose auto, cpu or cuda")
    return "cuda"


def start(launch: Launch, device: str, timeout_minutes: float = 10) -> torch.device:
    """Join the run's process group: gloo on `cpu`, where megatron-core is patched first, NCCL on `cuda`."""
    import torch

    from megatron_ext.backend import cpu

    if device == "cpu":
        cpu.install()
        _use_own_share_of_cores(launch)
        here = torch.device("cpu")
    else:
        cpu.warn_on_other_version()
        here = torch.device("cuda", _gpu_of(launch))
        torch.cuda.set_device(here)
    _keep_gloo_off_the_network(launch)
    timeout = timedelta(minutes=timeout_minutes)
    torch.distributed.init_process_group(
        backend="gloo" if device == "cpu" else "nccl",
        store=_store(launch, timeout),
        rank=launch.rank,
        world_size=launch.world_size,
        timeout=timeout,
    )
    _wait_until_all_are_connected()
    return here


_stores: dict[tuple, torch.distributed.Store] = {}
_starts: dict[tuple, int] = {}


def _store(launch: Launch, timeout: timedelta) -> torch.distributed.Store:
    """A store that no earlier start in this process has written to. A world of one opens no port."""
    from torch.distributed import HashStore, PrefixStore
    from torch.distributed.rendezvous import rendezvous

    if launch.world_size == 1:
        return HashStore()
    # The connection outlives `stop`: a rank that starts again sooner than rank 0 would else meet the old server in its
    # last moments. A prefix for each start keeps the addresses of earlier ones out of sight.
    where = (launch.master_addr, launch.master_port)
    if where not in _stores:
        address = f"[{where[0]}]" if ":" in where[0] else where[0]
        rounds = rendezvous(f"tcp://{address}:{where[1]}", launch.rank, launch.world_size, timeout=timeout)
        _stores[where] = next(rounds)[0]
    key = (*where, launch.world_size)
    _starts[key] = _starts.get(key, 0) + 1
    return PrefixStore(f"world{launch.world_size}/start{_starts[key]}", _stores[where])


def _wait_until_all_are_connected() -> None:
    """gloo connects in the constructor: a rank that leaves before the others are done fails them, or keeps them waiting."""
    import torch

    if torch.distributed.get_backend() == "gloo":
        torch.distributed.barrier()


def _keep_gloo_off_the_network(launch: Launch) -> None:
    """Processes of one machine talk over its loopback, whatever its host name resolves to."""
    loopback = {name for _, name in socket.if_nameindex()} & {"lo", "lo0"}
    if launch.local_world_size == launch.world_size and loopback:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback.pop())


def _use_own_share_of_cores(launch: Launch) -> None:
    import torch

    if "OMP_NUM_THREADS" in os.environ:
        return
    if launch.launcher == "srun" and "SLURM_CPUS_PER_TASK" in os.environ:
        share = int(os.environ["SLURM_CPUS_PER_TASK"])
    else:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        share = cores // launch.local_world_size
    torch.set_num_threads(max(1, share))


def _gpu_of(launch: Launch) -> int:
    import torch

    visible = torch.cuda.device_count()
    if launch.local_rank < visible:
        return launch.local_rank
    if visible == 1 and launch.launcher == "srun":  # --gpus-per-task=1 shows each task its own GPU as number 0
        return 0
    raise UserError(f"{launch.local_world_size} processes on a node where {visible} GPUs are visible: launch one for each GPU")


def initialize_model_parallel(
    tensor: int = 1,
    pipeline: int = 1,
    virtual_pipeline: int | None = None,
    context: int = 1,
    expert: int = 1,
    expert_tensor: int | None = None,
    seed: int = 1234,
    cuda_graphs: bool = False,
) -> None:
    """Make megatron-core's groups over the running process group and seed its random states.

    What is left of the world is data parallel. `virtual_pipeline` counts the model chunks a stage holds; `expert_tensor`
    is `tensor` if None. As in Megatron-LM, dropout differs between pipeline stages and is the same on data-parallel ranks;
    it differs between processes that share samples.
    With `cuda_graphs` random states are kept such that a graph can go on from them.
    """
    from megatron.core import parallel_state, tensor_parallel

    parallel_state.initialize_model_parallel(
        tensor_model_parallel_size=tensor,
        pipeline_model_parallel_size=pipeline,
        virtual_pipeline_model_parallel_size=virtual_pipeline,
        context_parallel_size=context,
        expert_model_parallel_size=expert,
        expert_tensor_parallel_size=expert_tensor,
        create_gloo_process_groups=False,  # second copies of groups, for checkpoints of its own; each costs threads that poll
    )
    _wait_until_all_are_connected()
    tensor_parallel.model_parallel_cuda_manual_seed(
        seed + 100 * parallel_state.get_pipeline_model_parallel_rank() + 10_000 * parallel_state.get_context_parallel_rank(),
        use_cudagraphable_rng=cuda_graphs,
    )
    if not gc.get_freeze_count():
        gc.freeze()  # what is imported by now stays for good: a collection then takes 2 ms, not 200


def node_name() -> str:
    """Of this machine, as SLURM calls it where SLURM started this process."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def all_or_none(action: Callable[[], Any], what: str = "") -> Any:
    """Every process runs `action`; if it failed on one, all raise UserError, so that none waits for another for ever.

    Args:
        what: said before the reason.

    Returns:
        What the action gave here.
    """
    import torch

    problem = value = None
    try:
        value = action()
    except (OSError, RuntimeError, UserError) as error:  # torch reports a full disk as RuntimeError
        problem = str(error) or type(error).__name__
    problems = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(problems, problem)
    if any(problems):
        raise UserError(": ".join(filter(None, (what, next(filter(None, problems))))), shared=True)
    return value


def first_alone(action: Callable[[], Any], what: str = "") -> Any:
    """Rank 0 runs `action` and gets its value; if it failed, all raise."""
    import torch

    return all_or_none(action if torch.distributed.get_rank() == 0 else lambda: None, what)


def first_for_all(action: Callable[[], Any], what: str = "") -> Any:
    """Rank 0 runs `action`, all get its value; if it failed, all raise."""
    import torch

    value = [first_alone(action, what)]
    torch.distributed.broadcast_object_list(value, src=0)
    return value[0]


def first_finds(find: Callable[[bool], Any], what: str, each_node: bool = False) -> Any:
    """Every process runs `find(first)`; all get what rank 0 found. If it failed on one, all raise UserError.

    Args:
        each_node: nodes may see different files: `first` holds for one process of each, and they must find the same.
    """
    import torch

    rank, node = torch.distributed.get_rank(), node_name()
    nodes = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(nodes, node)
    first = nodes.index(node) == rank if each_node else rank == 0
    found: list[Any] = [None]
    all_or_none(lambda: found.__setitem__(0, find(first)), what)
    everybody = [None] * len(nodes)
    torch.distributed.all_gather_object(everybody, (first, found[0] if first else None))
    for other, (counts, theirs) in zip(nodes, everybody, strict=True):
        if counts and theirs != everybody[0][1]:
            raise UserError(f"{what}: node {other} does not have the same as node {nodes[0]}; copy it there again")
    return everybody[0][1]


def stop() -> None:
    """Leave every process group and forget what megatron-core keeps of this run; a new `start` may follow.

    Without a running group it only forgets. megatron-core's own `destroy_model_parallel` forgets its groups and leaves
    them open: some 80 file descriptors and 50 threads for each layout.
    """
    import torch.distributed as dist

    if "megatron.core" in sys.modules:
        _forget_megatron_state()
    if dist.is_initialized():
        dist.destroy_process_group()
    gc.collect()  # a group closes with the last object that holds it, and models hold theirs in cycles


def _forget_megatron_state() -> None:
    import torch
    from megatron.core import num_microbatches_calculator, parallel_state, rerun_state_machine
    from megatron.core.models.common.embeddings import rotary_pos_embedding, yarn_rotary_pos_embedding
    from megatron.core.tensor_parallel import random
    from megatron.core.transformer import multi_token_prediction
    from megatron.core.transformer.moe import moe_utils
    from megatron.core.transformer.moe.token_dispatcher import MoETokenDispatcher

    parallel_state.destroy_model_parallel()
    for name, value in vars(parallel_state).items():  # it leaves some out, _INTRA_PARTIAL_DATA_PARALLEL_GROUP_WITH_CP for one
        if name.startswith("_") and name.isupper() and value is not None:
            setattr(parallel_state, name, {} if isinstance(value, dict) else None)
    random.initialize_rng_tracker(force_reset=True)
    for name in ("NVTE_FLASH_ATTN", "NVTE_FUSED_ATTN", "NVTE_UNFUSED_ATTN"):  # set by each model for --attention-backend
        os.environ.pop(name, None)
    random._unset_checkpointing()  # stays set when an error ends a recomputation
    num_microbatches_calculator.destroy_num_microbatches_calculator()
    rerun_state_machine.destroy_rerun_state_machine()
    moe_utils.get_moe_layer_wise_logging_tracker().clear()
    multi_token_prediction.MTPLossLoggingHelper.tracker.clear()
    # A dispatcher remembers its last batch, and through its graph every gradient hook: a cycle that Python cannot see.
    for dispatcher in [thing for thing in gc.get_objects() if issubclass(type(thing), MoETokenDispatcher)]:
        for name in [name for name, value in vars(dispatcher).items() if isinstance(value, torch.Tensor)]:
            setattr(dispatcher, name, None)
    for rotary in (rotary_pos_embedding.RotaryEmbedding, yarn_rotary_pos_embedding.YarnRotaryEmbedding):
        rotary.forward.cache_clear()  # the cache's keys hold modules, and these their process groups
