"""Flags reach megatron-core's configuration, those too that only a GPU can do something with."""

from __future__ import annotations

import pytest

from megatron_ext.training.configuration import read_configuration
from tests.arguments.test_config import problems

RUN = ["--mock-data", "--vocab-size", "100", "--train-iters", "1", "--preset", "tiny", "--device", "cuda"]
FP8 = ["--bf16", "--fp8-format", "hybrid", "--zero-stage", "1"]
TP2 = ["--tensor-model-parallel-size", "2", "--sequence-parallel"]
CP2 = ["--context-parallel-size", "2"]
GRAPHS = ["--cuda-graph-impl", "local"]


def core(argv, world_size=1):
    from megatron_ext.models.config import model_config

    return model_config(read_configuration([*RUN, *argv], world_size), 100, "transformer_engine")


# flag: what to compare with, with it, the field and its value.
REACHES = {
    "apply_layernorm_1p": ([], ["--apply-layernorm-1p"], "layernorm_zero_centered_gamma", True),
    "cross_entropy_loss_fusion": (["--bf16"], ["--bf16", "--cross-entropy-loss-fusion"], "cross_entropy_loss_fusion", True),
    "fp8_format": (["--bf16"], ["--bf16", "--fp8-format", "e4m3"], "fp8", "e4m3"),
    "fp8_recipe": (FP8, [*FP8, "--fp8-recipe", "tensorwise"], "fp8_recipe", "tensorwise"),
    "fp8_amax_history_len": (FP8, [*FP8, "--fp8-amax-history-len", "1024"], "fp8_amax_history_len", 1024),
    "fp8_amax_compute_algo": (FP8, [*FP8, "--fp8-amax-compute-algo", "max"], "fp8_amax_compute_algo", "max"),
    "fp8_param_gather": (FP8, [*FP8, "--fp8-param-gather"], "fp8_param", True),
    "tp_comm_overlap": (TP2, [*TP2, "--tp-comm-overlap"], "tp_comm_overlap", True),
    "cp_comm_type": (CP2, [*CP2, "--bf16", "--cp-comm-type", "p2p"], "cp_comm_type", "p2p"),
    "gradient_accumulation_fusion": ([], ["--gradient-accumulation-fusion"], "gradient_accumulation_fusion", True),
    "cuda_graph_impl": ([], GRAPHS, "cuda_graph_impl", "local"),
    "cuda_graph_warmup_steps": (GRAPHS, [*GRAPHS, "--cuda-graph-warmup-steps", "5"], "cuda_graph_warmup_steps", 5),
}


@pytest.mark.parametrize("flag", REACHES)
def test_flag_reaches_megatron_cores_configuration(flag):
    without, with_it, field, value = REACHES[flag]
    size = 2 if {"--tensor-model-parallel-size", "--context-parallel-size"} & {*with_it} else 1
    assert getattr(core(without, size), field) != value
    assert getattr(core(with_it, size), field) == value


@pytest.mark.parametrize("backend", ["auto", "flash", "fused", "unfused", "local", "flex"])
def test_attention_backend_reaches_megatron_cores_configuration(backend):
    found = core(["--bf16", "--attention-backend", backend, "--kv-channels", "16"])
    assert found.attention_backend.name == ("local" if backend == "flex" else backend) and found.attention.backend == backend


def test_scope_of_cuda_graphs_reaches_megatron_cores_configuration():
    assert core(GRAPHS).cuda_graph_scope == []
    assert [scope.name for scope in core([*GRAPHS, "--cuda-graph-scope", "attn", "mlp"]).cuda_graph_scope] == ["attn", "mlp"]


ON_A_GPU = {
    "fp8_format": FP8,
    "tp_comm_overlap": [*TP2, "--tp-comm-overlap"],
    "cp_comm_type": [*CP2, "--bf16", "--cp-comm-type", "a2a"],
    "gradient_accumulation_fusion": ["--gradient-accumulation-fusion"],
    "cuda_graph_impl": GRAPHS,
    "nvtx_ranges": ["--nvtx-ranges"],
    "empty_unused_memory_level": ["--empty-unused-memory-level", "1"],
    "attention_backend": ["--attention-backend", "fused"],
}


@pytest.mark.parametrize("flag", ON_A_GPU)
def test_what_needs_a_gpu_is_refused_on_the_cpu(flag):
    (problem,) = problems([*RUN, *ON_A_GPU[flag], "--device", "cpu"], 2)
    assert problem.flag == "--" + flag.replace("_", "-") and "runs on the CPU" in problem.reason


@pytest.mark.parametrize(("argv", "said"), [
    (["--seq-length", "18", *CP2], "--seq-length 18: does not cut into the 2 × 2 chunks that --context-parallel-size 2"),
    (["--seq-length", "12", *CP2, "--tensor-model-parallel-size", "4", "--sequence-parallel"],
     "--seq-length 12: is not a multiple of --tensor-model-parallel-size 4 × --context-parallel-size 2"),
    ([*CP2, "--cp-comm-type", "a2a", "--num-query-groups", "1"], "--cp-comm-type a2a: deals heads out to 2 processes"),
    ([*CP2, "--cp-comm-type", "p2p", "--bf16", "--parallel-residual"], "is Transformer Engine's way for plain causal"),
    ([*CP2, "--bf16", "--parallel-residual", "--attention-backend", "flash"], "--attention-backend flash: takes no mask"),
    (["--reset-attention-mask", *GRAPHS], "--cuda-graph-impl local: captures attention that is causal and no more"),
    (["--cp-comm-type", "p2p"], "--cp-comm-type p2p: has no effect without --context-parallel-size"),
    ([*CP2, "--cp-comm-type", "p2p", "--position-embedding-type", "alibi"], "is Transformer Engine's way for plain causal"),
    (["--context-parallel-size", "3"], "does not divide the 8 process(es) of this run"),
])  # fmt: skip
def test_a_context_that_cannot_be_shared_is_refused(argv, said):
    assert any(said in str(problem) for problem in problems([*RUN, *argv], 8))


def starts(launch, argv):
    """Start a run whose device is chosen at the start; what the user is told."""
    from megatron_ext.arguments.problems import ConfigurationError
    from megatron_ext.training.layout import processes

    try:
        with processes(launch, read_configuration([*RUN, "--device", "auto", *argv], launch.world_size)):
            return "started"
    except ConfigurationError as error:
        return str(error)


def test_what_needs_a_gpu_is_refused_at_the_start_where_there_is_none(pool):
    said = pool.run(starts, 2, [*FP8, *GRAPHS, "--nvtx-ranges"])[0]
    assert all(f"{flag} needs a GPU" in said.replace(":", "") for flag in ("hybrid", "local", "--nvtx-ranges"))
    assert "3 problems" in said


@pytest.mark.parametrize(("argv", "says"), [
    ([*FP8, "--transformer-impl", "local"], "--fp8-format hybrid: needs Transformer Engine, and the local layers run"),
    ([*TP2, "--tp-comm-overlap", "--transformer-impl", "local"], "--tp-comm-overlap: needs Transformer Engine"),
    (["--fp8-format", "hybrid"], "keeps all but the matrix products in bfloat16"),
    (["--bf16", "--fp8-format", "hybrid", "--fp8-param-gather"], "gathers weights that --zero-stage 1 shards"),
    ([*FP8, "--fp8-recipe", "tensorwise", "--fp8-amax-history-len", "9"], "is of delayed scaling, not of --fp8-recipe"),
    ([*FP8, "--hidden-size", "60", "--num-attention-heads", "2"], "--hidden-size 60: is not a multiple of 16"),
    ([*FP8, "--seq-length", "33", "--micro-batch-size", "1"], "--micro-batch-size × --seq-length 33: is not a multiple of 8"),
    (["--fp8-recipe", "mxfp8"], "has no effect without --fp8-format"),
    (["--cuda-graph-warmup-steps", "2"], "has no effect without --cuda-graph-impl"),
    ([*GRAPHS, "--recompute-granularity", "full"], "cannot recompute whole layers"),
    ([*GRAPHS, "--cuda-graph-scope", "moe_router"], "is in no layer of this model; layers have attn and mlp"),
    (["--tp-comm-overlap"], "overlaps what --sequence-parallel communicates"),
    (["--grad-reduce-in-bf16"], "is for gradients of bfloat16 weights"),
    (["--cross-entropy-loss-fusion"], "rounds its gradient to bfloat16"),
    (["--manual-gc-interval", "9"], "has no effect without --manual-gc"),
])  # fmt: skip
def test_what_does_not_go_together_is_refused(argv, says):
    assert says in "\n".join(map(str, problems([*RUN, *argv], 2)))


def test_the_accumulation_kernel_is_asked_for():
    from megatron_ext.backend.cuda_only import problems as judged

    config = read_configuration([*RUN, "--gradient-accumulation-fusion"], 1)
    (problem,) = judged(config.flat(), "cuda", "transformer_engine", starts=True)
    assert "fused_weight_gradient_mlp_cuda" in problem.reason
