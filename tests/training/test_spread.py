"""Flags that must not change the result: that they do what they say is seen in the groups, wrappers and calls they lead to."""

from __future__ import annotations

import pytest

BASE = ["--preset", "tiny", "--mock-data", "--vocab-size", "200", "--train-iters", "1", "--global-batch-size", "8",
        "--seq-length", "16", "--device", "cpu"]  # fmt: skip


def look(launch, argv, question):
    """Build the run of `argv` and answer `question(run)`."""
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    config = read_configuration([*BASE, *argv], launch.world_size)
    with processes(launch, config) as device:
        from megatron_ext.training.build import build

        return question(build(config, device))


def groups(run):
    from megatron.core import parallel_state as mpu

    return {
        "tensor": mpu.get_tensor_model_parallel_world_size(),
        "pipeline": mpu.get_pipeline_model_parallel_world_size(),
        "data": mpu.get_data_parallel_world_size(),
        "expert": mpu.get_expert_model_parallel_world_size(),
        "expert tensor": mpu.get_expert_tensor_parallel_world_size(),
        "chunks": len(run.sharding.chunks),
        "sequence": run.model_config.sequence_parallel,
        "name": str(run.layout),
    }


@pytest.mark.parametrize(("argv", "world_size", "expected"), [
    (["--micro-batch-size", "2"], 4,
     {"tensor": 1, "pipeline": 1, "data": 4, "chunks": 1, "sequence": False, "name": "TP1·PP1·DP4"}),
    (["--tensor-model-parallel-size", "2", "--sequence-parallel"], 4, {"tensor": 2, "data": 2, "sequence": True}),
    (["--pipeline-model-parallel-size", "4"], 4, {"pipeline": 4, "data": 1, "chunks": 1}),
    (["--pipeline-model-parallel-size", "2", "--num-virtual-stages-per-pipeline-rank", "2"], 2,
     {"pipeline": 2, "chunks": 2, "name": "TP1·PP2×2·DP1"}),
    (["--pipeline-model-parallel-size", "2", "--num-layers-per-virtual-pipeline-stage", "1"], 2, {"chunks": 2}),
    (["--num-virtual-stages-per-pipeline-rank", "1"], 1, {"chunks": 1, "name": "TP1·PP1·DP1"}),
    (["--pipeline-model-parallel-size", "2", "--num-layers-per-virtual-pipeline-stage", "2"], 2, {"chunks": 1}),
    (["--num-experts", "4", "--expert-model-parallel-size", "2"], 2, {"expert": 2, "data": 2, "expert tensor": 1}),
    (["--num-experts", "4", "--tensor-model-parallel-size", "2", "--sequence-parallel", "--expert-tensor-parallel-size", "2"], 2,
     {"expert tensor": 2, "tensor": 2}),
])  # fmt: skip
def test_layout_is_what_was_asked_for(argv, world_size, expected, pool):
    for found in pool.run(look, world_size, argv, groups):
        assert {key: found[key] for key in expected} == expected


def parts(run):
    """What this process holds, a word for each chunk: the embedding, layers by number, the output."""
    from megatron_ext.backend.placement import unwrap

    return [
        "E" * model.pre_process + "".join(str(layer.layer_number) for layer in model.decoder.layers) + "L" * model.post_process
        for model in map(unwrap, run.sharding.chunks)
    ]


PP2 = ["--pipeline-model-parallel-size", "2"]
COUNTED = ("--account-for-embedding-in-pipeline-split", "--account-for-loss-in-pipeline-split")


@pytest.mark.parametrize(("argv", "expected"), [
    ([*PP2, "--decoder-first-pipeline-num-layers", "1"], [["E1"], ["234L"]]),
    ([*PP2, "--decoder-last-pipeline-num-layers", "1"], [["E123"], ["4L"]]),
    ([*PP2, "--num-layers", "5", COUNTED[0]], [["E12"], ["345L"]]),
    ([*PP2, "--num-layers", "5", COUNTED[1]], [["E123"], ["45L"]]),
    ([*PP2, "--num-layers", "6", *COUNTED, "--num-layers-per-virtual-pipeline-stage", "2"], [["E1", "45"], ["23", "6L"]]),
    ([*PP2, "--pipeline-model-parallel-layout", "E|t|tt,|tL"], [["E", "23"], ["1", "4L"]]),
])  # fmt: skip
def test_stages_hold_what_was_asked_for(argv, expected, pool):
    assert pool.run(look, 2, argv, parts) == expected


def held(run):
    return sum(piece.end - piece.begin for piece in run.sharding.pieces())


def test_zero_stage_1_shards_the_state(pool):
    whole = pool.run(look, 2, [], held)
    shares = pool.run(look, 2, ["--zero-stage", "1"], held)
    assert whole[0] == whole[1] == sum(shares)
    assert max(shares) < 0.6 * whole[0]


def overlaps(run):
    config = run.sharding.chunks[0].ddp_config
    return config.overlap_grad_reduce, config.overlap_param_gather, run.model_config.no_sync_func is not None


def test_overlap_reaches_megatron_core(pool):
    assert pool.run(look, 2, ["--zero-stage", "1"], overlaps)[0] == (False, False, False)
    both = ["--zero-stage", "1", "--overlap-grad-reduce", "--overlap-param-gather"]
    assert pool.run(look, 2, both, overlaps)[0] == (True, True, True)


def dispatcher(run):
    names = [
        type(module.token_dispatcher).__name__
        for module in run.sharding.chunks[0].modules()
        if hasattr(module, "token_dispatcher")
    ]
    return set(names)


@pytest.mark.parametrize(
    ("flag", "name"), [("allgather", "MoEAllGatherTokenDispatcher"), ("alltoall", "MoEAlltoAllTokenDispatcher")]
)
def test_dispatcher_is_what_was_asked_for(flag, name, pool):
    assert pool.run(look, 1, ["--num-experts", "4", "--moe-token-dispatcher-type", flag], dispatcher)[0] == {name}


def forward_calls(run):
    """Calls of each transformer layer's forward in one update, and the batch sizes seen."""
    from megatron.core.transformer.transformer_layer import TransformerLayer

    from megatron_ext.training.state import TrainState
    from megatron_ext.training.step import train_step

    sizes = []
    for module in run.sharding.chunks[0].modules():
        if isinstance(module, TransformerLayer):
            module.register_forward_pre_hook(
                lambda module, args, kwargs: sizes.append(
                    (kwargs.get("hidden_states") if "hidden_states" in kwargs else args[0]).shape[1]
                ),
                with_kwargs=True,
            )
    train_step(run, TrainState(run.sharding))
    return sizes


@pytest.mark.parametrize("size", [1, 4])
def test_micro_batches_are_cut_as_asked(size, pool):
    assert pool.run(look, 1, ["--micro-batch-size", str(size)], forward_calls)[0] == [size] * (4 * 8 // size)


def test_recompute_runs_layers_again(pool):
    plain = len(pool.run(look, 1, [], forward_calls)[0])
    each = len(pool.run(look, 1, ["--recompute-granularity", "full"], forward_calls)[0])
    assert each == 2 * plain


def saved_inputs(run):
    """How often a stretch of layers is wrapped into a checkpoint in one update."""
    from megatron.core.tensor_parallel import random

    from megatron_ext.training.state import TrainState
    from megatron_ext.training.step import train_step

    calls, original = [], random.CheckpointFunction.forward
    random.CheckpointFunction.forward = staticmethod(lambda *args: calls.append(1) or original(*args))
    try:
        train_step(run, TrainState(run.sharding))
    finally:
        random.CheckpointFunction.forward = staticmethod(original)
    return len(calls)


def test_recompute_num_layers_sets_the_stretch(pool):
    flags = ["--recompute-granularity", "full", "--micro-batch-size", "8", "--recompute-num-layers"]
    assert [pool.run(look, 1, [*flags, count], saved_inputs)[0] for count in ("1", "2")] == [4, 2]


def waits_for_nobody(launch):
    """Rank 0 enters a collective that rank 1 never does; the answer is the seconds until it gives up."""
    import time

    import torch

    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    config = read_configuration([*BASE, "--distributed-timeout-minutes", "0.05"], launch.world_size)
    with processes(launch, config):
        started = time.monotonic()
        if launch.rank == 1:
            time.sleep(6)
            return 3.0
        try:
            torch.distributed.all_reduce(torch.zeros(1))
        except RuntimeError:
            return time.monotonic() - started


def test_timeout_ends_a_collective_that_does_not_complete(pool):
    assert 1 < pool.run(waits_for_nobody, 2)[0] < 6
