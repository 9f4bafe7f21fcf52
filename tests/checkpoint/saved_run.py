"""A real checkpoint to work on: a few updates of a tiny run in the pool."""

from __future__ import annotations

import pathlib

from tests.layouts.training_case import train_case

RUN = (
    "--preset tiny --mock-data --vocab-size 300 --train-iters 10 --global-batch-size 4 --micro-batch-size 2 --seq-length 16 "
    "--num-layers 2 --lr-decay-iters 20"
).split()


def save(pool, folder: pathlib.Path, *argv: str, world_size: int = 1) -> None:
    """Train into `folder`."""
    pool.run(train_case, world_size, [*RUN, *argv], str(folder))


def restored(launch, argv, answer, base=RUN):
    """Build the run of `argv`, restore it as training would, and answer `answer(run, state)`."""
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    config = read_configuration([*base, *argv, "--device", "cpu"], launch.world_size)
    with processes(launch, config) as device:
        from megatron_ext.training.build import build

        run = build(config, device)
        return answer(run, run.restore())


def counts(run, state):
    return state.counts()


def tensors(run, state):
    """Every piece of the sharded state, copied: `(place, begin, end, {name: tensor})`."""
    return [
        (piece.place, piece.begin, piece.end, {name: tensor.clone() for name, tensor in piece.tensors.items()})
        for piece in state.sharding.pieces()
    ]
