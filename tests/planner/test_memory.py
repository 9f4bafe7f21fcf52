"""The foretold bytes against those of the tensors that a run really holds."""

from __future__ import annotations

import pytest

from megatron_ext.planner.memory import state_bytes

BASE = ["--preset", "tiny", "--mock-data", "--vocab-size", "1024", "--train-iters", "1", "--device", "cpu",
        "--global-batch-size", "8"]  # fmt: skip


def held_and_foretold(launch, argv):
    """Bytes of weights, gradients, master weights and moments after one update, and what the planner says."""
    from megatron_ext.planner.parameters import count
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    config = read_configuration([*BASE, *argv], launch.world_size)
    with processes(launch, config) as device:
        from megatron_ext.training.build import build
        from megatron_ext.training.state import TrainState
        from megatron_ext.training.step import train_step

        run = build(config, device)
        train_step(run, TrainState(run.sharding))
        parameters = [parameter for chunk in run.sharding.chunks for parameter in chunk.parameters()]
        held = sum(_bytes(parameter) + _bytes(parameter.main_grad) for parameter in parameters)
        half = config.training.bf16 or config.training.fp16
        for piece in run.sharding.pieces():  # in fp32 the weight is the parameter itself, counted above
            held += sum(_bytes(tensor) for name, tensor in piece.tensors.items() if name != "weight" or half)
        return held, state_bytes(config, count(config.model, 1024).total)


def _bytes(tensor) -> int:
    return tensor.numel() * tensor.element_size()


@pytest.mark.parametrize(("argv", "processes"), [
    ([], 1),
    (["--bf16"], 1),
    (["--fp16"], 1),
    (["--bf16", "--grad-reduce-in-bf16"], 1),
    (["--bf16", "--zero-stage", "1"], 2),
    (["--bf16", "--tensor-model-parallel-size", "2"], 2),
])  # fmt: skip
def test_state_takes_what_was_foretold(argv, processes, pool):
    for held, foretold in pool.run(held_and_foretold, processes, argv):
        assert held == pytest.approx(foretold, rel=0.02)
