"""DeepNorm's constants from its paper, and the spread of the weights that it starts from."""

from __future__ import annotations

import pytest
import torch

from megatron_ext.models.norm_placements.deepnorm import alpha, beta


@pytest.mark.parametrize("layers", [1, 6, 18, 100])
def test_constants_are_those_of_a_decoder_alone(layers):
    """arXiv:2203.00555, figure 2: decoder-only (e.g. GPT) α = (2M)^¼, β = (8M)^(−¼)."""
    assert alpha(layers) ** 4 == pytest.approx(2 * layers)
    assert beta(layers) ** -4 == pytest.approx(8 * layers)


def spreads(launch):
    """Standard deviations of a layer's matrices, queries, keys and values apart."""
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    argv = ("--num-layers 3 --hidden-size 96 --num-attention-heads 6 --num-query-groups 2 --mock-data --vocab-size 100 "
            "--train-iters 1 --device cpu --norm-placement deepnorm --ffn-hidden-size 256")  # fmt: skip
    config = read_configuration(argv.split(), launch.world_size)
    with processes(launch, config):
        from megatron_ext.models import gpt
        from megatron_ext.models.config import model_config

        layer = gpt.build(config.model, model_config(config, 100, "local"), seed=1)[0].decoder.layers[1]
        query, key, value = layer.self_attention.linear_qkv.weight.view(2, 5, 16, 96).split([3, 1, 1], dim=1)
        matrices = dict(query=query, key=key, value=value, output=layer.self_attention.linear_proj.weight,
                        first=layer.mlp.linear_fc1.weight, second=layer.mlp.linear_fc2.weight)  # fmt: skip
        return {name: float(matrix.std()) for name, matrix in matrices.items()}


def test_weights_start_as_the_paper_says(pool):
    (found,) = pool.run(spreads, 1)
    shapes = {"query": (96, 96), "key": (96, 32), "value": (96, 32), "output": (96, 96), "first": (96, 256), "second": (256, 96)}
    for name, (fan_in, fan_out) in shapes.items():
        matrix = torch.empty(fan_out, fan_in)
        torch.nn.init.xavier_normal_(matrix, gain=1.0 if name in ("query", "key") else beta(3))
        assert found[name] == pytest.approx(float(matrix.std()), rel=0.05), name
