"""DeepNorm's constants from its paper, and the spread of the weights that it starts from."""

from __future__ import annotations

import pytest
import torch

from megatron_ext.models.norm_placements.deepnorm import constants


@pytest.mark.parametrize("layers", [1, 6, 18, 100])
@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_constants_of_one_part_alone(part, layers):
    """arXiv:2203.00555, table 1: α = (2N)^¼, β = (8N)^(−¼), for encoders (BERT) and decoders (GPT)."""
    (found,) = constants(**{part: layers}).values()
    assert found.alpha**4 == pytest.approx(2 * layers)
    assert found.beta**-4 == pytest.approx(8 * layers)


def test_constants_of_an_encoder_with_a_decoder():
    """arXiv:2203.00555, section 5: 18 and 18 layers; torchscale 0.3.0 has these α, and β with 1.15 where the paper has 0.87."""
    found = constants(encoder=18, decoder=18)
    assert found["encoder"] == pytest.approx((0.81 * 18 ** (5 / 16), 0.87 * 18 ** (-5 / 16)))
    assert found["decoder"] == pytest.approx((54**0.25, 216**-0.25))
    assert constants(encoder=2, decoder=16)["encoder"].alpha == pytest.approx(0.81 * 2**0.5)


def spreads_of_two_stacks(launch):
    """Of an encoder's and a decoder's layer: standard deviations, and what the residual is multiplied by."""
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    argv = ("--architecture encoder-decoder --encoder-num-layers 2 --decoder-num-layers 1 --hidden-size 96 "
            "--num-attention-heads 6 --mock-data --vocab-size 100 --train-iters 1 --device cpu --norm-placement deepnorm "
            "--ffn-hidden-size 256")  # fmt: skip
    config = read_configuration(argv.split(), launch.world_size)
    with processes(launch, config):
        from megatron_ext.models import gpt
        from megatron_ext.models.config import model_config

        core = model_config(config, 100, "local")
        layers = gpt.build(config.model, core, seed=1)[0].decoder.layers
        both = layers[2].cross_attention.linear_kv.weight.view(6, 2, 16, 96)
        matrices = {"encoder": layers[0].mlp.linear_fc2.weight, "decoder": layers[2].mlp.linear_fc2.weight, "key": both[:, 0],
                    "value": both[:, 1], "query": layers[2].cross_attention.linear_q.weight}  # fmt: skip
        return {name: float(matrix.std()) for name, matrix in matrices.items()}, core.deepnorm_alphas


def test_an_encoder_and_a_decoder_start_each_in_its_own_way(pool):
    ((found, alphas),) = pool.run(spreads_of_two_stacks, 1)
    own = constants(encoder=2, decoder=1)
    assert alphas == (own["decoder"].alpha, own["encoder"].alpha)
    for name, fan_in in {"encoder": 256, "decoder": 256, "key": 96, "value": 96, "query": 96}.items():
        gain = {"key": 1.0, "query": 1.0, "value": own["decoder"].beta}.get(name) or own[name].beta
        assert found[name] == pytest.approx(gain * (2 / (fan_in + 96)) ** 0.5, rel=0.05), name


def spreads(launch, argv):
    """Standard deviations of a layer's matrices, queries, keys and values apart."""
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    shape = ("--num-layers 3 --hidden-size 96 --num-attention-heads 6 --num-query-groups 2 --mock-data --vocab-size 100 "
             "--train-iters 1 --device cpu --norm-placement deepnorm --ffn-hidden-size 256")  # fmt: skip
    config = read_configuration([*shape.split(), *argv], launch.world_size)
    with processes(launch, config):
        from megatron_ext.models import gpt
        from megatron_ext.models.config import model_config

        layer = gpt.build(config.model, model_config(config, 100, "local"), seed=1)[0].decoder.layers[1]
        query, key, value = layer.self_attention.linear_qkv.weight.view(2, 5, 16, 96).split([3, 1, 1], dim=1)
        matrices = dict(query=query, key=key, value=value, output=layer.self_attention.linear_proj.weight,
                        first=layer.mlp.linear_fc1.weight, second=layer.mlp.linear_fc2.weight)  # fmt: skip
        return {name: float(matrix.std()) for name, matrix in matrices.items()}


@pytest.mark.compares("Xavier's normal of torch, its gain the paper's or GLM-130B's", within="5e-2", deepnorm_beta=True)
@pytest.mark.parametrize(("argv", "beta"), [([], 24**-0.25), (["--deepnorm-beta", str(6**-0.5)], 6**-0.5)])
def test_weights_start_as_the_paper_says(argv, beta, pool):
    (found,) = pool.run(spreads, 1, argv)
    shapes = {"query": (96, 96), "key": (96, 32), "value": (96, 32), "output": (96, 96), "first": (96, 256), "second": (256, 96)}
    for name, (fan_in, fan_out) in shapes.items():
        matrix = torch.empty(fan_out, fan_in)
        torch.nn.init.xavier_normal_(matrix, gain=1.0 if name in ("query", "key") else beta)
        assert found[name] == pytest.approx(float(matrix.std()), rel=0.05), name
