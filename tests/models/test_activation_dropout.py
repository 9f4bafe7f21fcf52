"""What goes into an MLP's second matrix while training: a share of it is 0, the rest as much larger; in evaluation all of it."""

from __future__ import annotations

import pytest
import torch

RATE, WIDTH = 0.25, 64
ARGV = (
    f"--num-layers 2 --hidden-size {WIDTH} --ffn-hidden-size {WIDTH} --mock-data --vocab-size 100 --train-iters 1 --device cpu "
    f"--seq-length 16 --activation-dropout {RATE}"
).split()


def through_the_mlp(launch, argv):
    """`(in evaluation, twice while training)` of an MLP whose second matrix lets all through."""
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    config = read_configuration([*ARGV, *argv], launch.world_size)
    with processes(launch, config), torch.no_grad():
        from megatron_ext.models import gpt
        from megatron_ext.models.config import model_config

        mlp = gpt.build(config.model, model_config(config, 100, "local"), seed=1)[0].decoder.layers[1].mlp
        second, part = mlp.linear_fc2, WIDTH // launch.world_size
        second.weight.copy_(torch.eye(WIDTH)[:, launch.rank * part : (launch.rank + 1) * part])
        x = torch.randn(16, 4, WIDTH, generator=torch.Generator().manual_seed(0))
        whole = mlp.eval()(x)[0]
        mlp.train()
        return whole, mlp(x)[0], mlp(x)[0]


@pytest.mark.parametrize(("processes", "argv"), [(1, []), (2, ["--tensor-model-parallel-size", "2"])])
def test_a_share_is_dropped_and_the_rest_grows(processes, argv, pool):
    (whole, first, second), *others = pool.run(through_the_mlp, processes, argv)
    assert all(first.equal(other) for _, other, _ in others)
    for found in (first, second):
        kept = found != 0
        assert (1 - kept.double().mean()).item() == pytest.approx(RATE, abs=0.021)  # 3 σ of 4,096
        torch.testing.assert_close(found[kept], whole[kept] / (1 - RATE))
    assert not (first != 0).equal(second != 0)
    left, right = (first != 0).chunk(2, dim=-1)
    assert not left.equal(right)
