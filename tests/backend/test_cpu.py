"""megatron-core trains on the CPU, every layout trains what one process trains, and no patch is there for nothing."""

from __future__ import annotations

import sys
import types

import pytest
import torch

from megatron_ext.arguments.problems import UserError
from megatron_ext.backend import cpu, distributed
from tests.backend.tiny_gpt import INTERLEAVED, MIXTURE_OF_EXPERTS, Case, train
from tests.pool import CaseFailed

RECOMPUTE = {"recompute_granularity": "full", "recompute_method": "uniform", "recompute_num_layers": 1}
DROPOUT = {"hidden_dropout": 0.1, "attention_dropout": 0.1}
ALLGATHER = MIXTURE_OF_EXPERTS | {"moe_token_dispatcher_type": "allgather"}


@pytest.fixture(scope="module")
def one_process(together):
    """The reference: the same training without any parallelism."""
    curves = {}

    def curve(**case):
        key = str(case)
        if key not in curves:
            curves[key] = together(1, train, Case(**case))[0]
        return curves[key]

    return curve


def same(curve, reference, relative=2e-6) -> bool:
    return torch.allclose(torch.tensor(curve), torch.tensor(reference), rtol=relative, atol=0)


LAYOUTS = {
    "TP2": (2, Case(tensor=2)),
    "TP2, sequence parallel": (2, Case(tensor=2, sequence_parallel=True)),
    "PP2": (2, Case(pipeline=2)),
    "PP2, tied": (2, Case(pipeline=2, tied=True)),
    "PP2×2": (2, Case(pipeline=2, virtual=2, config=INTERLEAVED)),
    "PP2×2, overlap in warm-up": (2, Case(pipeline=2, virtual=2, config=INTERLEAVED | {"overlap_p2p_comm_warmup_flush": True})),
    "PP4": (4, Case(pipeline=4)),
    "TP2·PP2": (4, Case(tensor=2, pipeline=2, sequence_parallel=True)),
    "TP2·PP2×2": (4, Case(tensor=2, pipeline=2, virtual=2, sequence_parallel=True, config=INTERLEAVED)),
    "DP2": (2, Case()),
    "DP2, overlap": (2, Case(overlap=True)),
    "DP2·ZeRO-1": (2, Case(zero=True)),
    "DP2·ZeRO-1, overlap": (2, Case(zero=True, overlap=True)),
    "DP2·PP2×2·ZeRO-1, overlap": (4, Case(pipeline=2, virtual=2, zero=True, overlap=True, config=INTERLEAVED)),
    "EP2, alltoall": (2, Case(expert=2, config=MIXTURE_OF_EXPERTS)),
    "EP2, allgather": (2, Case(expert=2, config=ALLGATHER)),
    "EP2·TP2": (2, Case(tensor=2, expert=2, sequence_parallel=True, config=MIXTURE_OF_EXPERTS)),
    "EP2·DP2·ZeRO-1, overlap": (4, Case(expert=2, zero=True, overlap=True, config=MIXTURE_OF_EXPERTS)),
    "experts in TP2": (2, Case(tensor=2, expert_tensor=2, sequence_parallel=True, config=MIXTURE_OF_EXPERTS)),
    "EP2·TP2, experts in TP2": (4, Case(tensor=2, expert=2, expert_tensor=2, sequence_parallel=True, config=ALLGATHER)),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_trains_what_one_process_trains(name, together, one_process):
    world_size, case = LAYOUTS[name]
    reference = one_process(tied=case.tied, config=MIXTURE_OF_EXPERTS if "num_moe_experts" in case.config else {})
    for curve in together(world_size, train, case):
        assert same(curve, reference)


# Settings that megatron-core accepts and trains wrongly. The validator must refuse them; when one of these tests fails,
# because megatron-core was mended, it need not any more.
WRONG = {
    # with two stages the previous and the next one are the same, and its two messages are mixed up (p2p_communication.py:16)
    "PP2×2 with batch_p2p_comm": (2, Case(pipeline=2, virtual=2, config={"overlap_p2p_comm": False, "batch_p2p_comm": True})),
    # experts that every rank holds are reduced among data-parallel ranks alone (tensor_parallel/layers.py:886)
    "TP2 with whole experts, EP1": (2, Case(tensor=2, expert_tensor=1, sequence_parallel=True, config=MIXTURE_OF_EXPERTS)),
}


@pytest.mark.parametrize("name", WRONG)
def test_settings_to_refuse(name, together, one_process):
    world_size, case = WRONG[name]
    reference = one_process(tied=False, config=MIXTURE_OF_EXPERTS if "num_moe_experts" in case.config else {})
    assert not same(together(world_size, train, case)[0], reference, relative=1e-3)


HALF = {
    "one process": (1, Case(dtype=torch.bfloat16)),
    "TP2·PP2": (4, Case(dtype=torch.bfloat16, tensor=2, pipeline=2, sequence_parallel=True)),
    "DP2·ZeRO-1, overlap": (2, Case(dtype=torch.bfloat16, zero=True, overlap=True)),
    "EP2": (2, Case(dtype=torch.bfloat16, expert=2, config=MIXTURE_OF_EXPERTS)),
    "fp16, loss scaling": (2, Case(dtype=torch.float16, zero=True, optimizer={"initial_loss_scale": 1024.0})),
}


@pytest.mark.parametrize("name", HALF)
def test_half_precision_trains_nearly_what_fp32_trains(name, together, one_process):
    world_size, case = HALF[name]
    losses = lambda curve: [(loss,) for loss, _ in curve]
    reference = losses(one_process(tied=False, config=case.config))
    for curve in together(world_size, train, case):
        assert same(losses(curve), reference, relative=2e-3)


@pytest.mark.parametrize("config", [{}, DROPOUT], ids=["without dropout", "with dropout"])
@pytest.mark.parametrize("world_size, case", [(1, {}), (2, {"tensor": 2, "sequence_parallel": True})], ids=["one process", "TP2"])
def test_recomputing_changes_nothing(world_size, case, config, together):
    kept = together(world_size, train, Case(**case, config=config))
    assert together(world_size, train, Case(**case, config=config | RECOMPUTE)) == kept


def test_dropout_follows_the_seed(together):
    case = Case(config=DROPOUT, steps=1)
    first, again, other = (together(1, train, case, seed) for seed in (1, 1, 2))
    assert first == again != other


# --- each patch is needed ---------------------------------------------------------------------------------------------


def random_state_returns(_) -> bool:
    state, first = torch.cuda.get_rng_state(), torch.rand(3)
    torch.cuda.set_rng_state(state)
    return torch.equal(torch.rand(3), first)


def without(patch: str | None, function, argument):
    """What a function returns when one patch is taken back."""
    from megatron.core.transformer.moe.token_dispatcher import MoEAlltoAllTokenDispatcher

    MoEAlltoAllTokenDispatcher.cuda_dtoh_stream = None  # made once a process
    if patch is None:
        return function(argument)
    owner, name, before = next(each for each in cpu.replaced if f"{each[0].__name__}.{each[1]}" == patch)
    patched = getattr(owner, name)
    setattr(owner, name, before)
    try:
        return function(argument)
    finally:
        setattr(owner, name, patched)


SCENES = (
    (train, Case(zero=True, overlap=True, dtype=torch.bfloat16, steps=1, config=DROPOUT | RECOMPUTE)),
    (train, Case(expert=2, steps=1, config=MIXTURE_OF_EXPERTS)),
    (train, Case(pipeline=2, tied=True, steps=1)),
    (random_state_returns, None),
)
NEEDED = {  # and by which scene
    "torch.cuda.current_device": 0,
    "torch.cuda.synchronize": 2,
    "Tensor.cuda": 2,
    "torch.tensor": 0,
    "torch.zeros": 0,
    "torch.ones": 0,
    "Tensor.type": 0,
    "torch.cuda.Stream": 1,
    "torch.cuda.current_stream": 1,
    "torch.cuda.manual_seed": 0,
    "torch.cuda.get_rng_state": 0,
    "torch.cuda.random.get_rng_state": 0,
    "torch.cuda.set_rng_state": 3,
    "megatron.core.tensor_parallel.random._set_cuda_rng_state": 0,
    "megatron.core.transformer.moe.token_dispatcher.maybe_move_tensor_to_cpu": 1,
}


@pytest.fixture(scope="module")
def with_all(together):
    return [together(2, without, None, *scene) for scene in SCENES]


@pytest.mark.skipif(torch.version.cuda is not None, reason="on a torch with CUDA the original may answer")
@pytest.mark.parametrize("patch", NEEDED)
def test_no_training_without(patch, together, with_all):
    try:
        assert together(2, without, patch, *SCENES[NEEDED[patch]]) != with_all[NEEDED[patch]]
    except CaseFailed:
        pass


def send_and_free(with_patch: bool) -> list[float]:
    """Rank 0 frees what it sends before rank 1 receives, as an interleaved schedule does; what rank 1 gets."""
    from megatron.core.pipeline_parallel import p2p_communication as p2p

    p2p_ops = p2p._p2p_ops if with_patch else p2p._p2p_ops.__wrapped__
    tensors = dict.fromkeys(["tensor_send_prev", "tensor_recv_prev", "tensor_send_next", "tensor_recv_next"])
    ranks = {"group": torch.distributed.group.WORLD, "prev_pipeline_rank": 1, "next_pipeline_rank": 1}
    if torch.distributed.get_rank() == 0:
        output = torch.ones(10_000)
        requests = p2p_ops(**tensors | {"tensor_send_next": output}, **ranks)
        output.data = torch.empty(1)
        others = [torch.zeros(10_000) for _ in range(4)]  # take the memory
        torch.distributed.barrier()
    else:
        output = others = torch.full([10_000], -1.0)
        torch.distributed.barrier()
        requests = p2p_ops(**tensors | {"tensor_recv_prev": output}, **ranks | {"prev_pipeline_rank": 0})
    for request in requests.values():
        request.wait()
    del others
    return output.unique().tolist()


def test_what_is_being_sent_stays_in_memory(together):
    assert together(2, send_and_free, True)[1] == [1.0]
    assert together(2, send_and_free, False)[1] != [1.0]


def what_is_compiled() -> list[str]:
    found = []
    for module in [module for name, module in sys.modules.items() if name.startswith("megatron.core")]:
        for owner in [module, *(value for value in vars(module).values() if isinstance(value, type))]:
            found += [
                f"{owner.__name__}.{name}"
                for name, value in vars(owner).items()
                if isinstance(value, types.FunctionType)
                and hasattr(value, "_torchdynamo_orig_callable")
                and value.__module__.startswith("megatron.core")
            ]
    return found


def test_nothing_is_compiled(together):
    assert together(1, what_is_compiled) == [[]]


def positions_of_a_context_parallel_rank() -> list[int]:
    from megatron.core.models.common.embeddings.rope_utils import get_pos_emb_on_this_cp_rank

    group = types.SimpleNamespace(size=lambda: 2, rank=lambda: 1)
    return get_pos_emb_on_this_cp_rank(torch.arange(8).view(8, 1), 0, group).flatten().tolist()


def test_no_memory_is_pinned(together):
    assert together(1, positions_of_a_context_parallel_rank) == [[2, 3, 4, 5]]


def train_beside_fused_kernels() -> list[tuple[float, float]]:
    """As where Transformer Engine is installed: its kernels stand in megatron-core's modules and refuse CPU tensors."""
    from megatron.core import optimizer
    from megatron.core.optimizer import clip_grads
    from megatron.core.optimizer import optimizer as optimizer_module
    from megatron.core.transformer.moe import moe_utils

    def refuse(*_, **__):
        raise RuntimeError("not a CUDA tensor")

    optimizer.Adam = optimizer.SGD = clip_grads.l2_norm_impl = moe_utils.te_general_gemm = refuse
    for module in (clip_grads, optimizer_module):
        module.multi_tensor_applier = module.multi_tensor_scale_impl = refuse
    cpu.kernels_are_torchs()
    return train(Case(config=MIXTURE_OF_EXPERTS))


def test_fused_kernels_are_not_used(together, one_process):
    assert together(1, train_beside_fused_kernels)[0] == one_process(tied=False, config=MIXTURE_OF_EXPERTS)


def install_again() -> bool:
    before = list(cpu.replaced)
    cpu.install()
    return before == cpu.replaced and str(distributed.resolve_device("auto")) == "cpu"


def test_installing_twice_is_installing_once(together):
    assert together(1, install_again) == [True]


def meet_another_version() -> tuple[str, str]:
    import megatron.core

    true, megatron.core.__version__ = megatron.core.__version__, "0.17.0"
    try:
        with pytest.warns(UserWarning) as warned:
            cpu.warn_on_other_version()
        with pytest.raises(UserError) as refused:
            cpu.refuse_other_version()
    finally:
        megatron.core.__version__ = true
    return str(refused.value), str(warned[0].message)


def test_another_megatron_core_is_refused_on_the_cpu_and_warned_of_on_cuda(together):
    refused, warned = together(1, meet_another_version)[0]
    assert "found megatron-core 0.17.0" in warned and "found megatron-core 0.17.0" in refused
    assert "pip install megatron-core==0.16.1, or train with --device cuda" in refused
