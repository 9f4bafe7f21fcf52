"""Each placement of norms and each shape of the residual against its paper's formula, written out around the sublayers."""

from __future__ import annotations

import pytest
import torch

BASE = "--preset tiny --mock-data --vocab-size 100 --train-iters 1 --device cpu --seq-length 16 --num-layers 3 --add-bias-linear"
FORMS = {
    "pre": "",
    "pre, residual from the norm": "--apply-residual-connection-post-layernorm",
    "post": "--norm-placement post",
    "reordered": "--norm-placement reordered",
    "sandwich": "--norm-placement sandwich",
    "deepnorm": "--norm-placement deepnorm",
    "GLM-130B": f"--norm-placement deepnorm --apply-residual-connection-post-layernorm --deepnorm-alpha {6**0.5}",
    "side by side": "--parallel-residual",
    "side by side, one norm": "--parallel-residual --share-parallel-norm",
}


def written_out(form: str, layer, x, f, g):
    """`f` is attention and `g` the MLP with their biases; norms by name."""
    alpha = 6**0.25  # of three layers
    n1, n2, n3, n4 = (getattr(layer, name, None) for name in
                      ("input_layernorm", "pre_mlp_layernorm", "post_self_attn_layernorm", "post_mlp_layernorm"))  # fmt: skip
    if form == "pre":
        x = x + f(n1(x))
        return x + g(n2(x))
    if form == "pre, residual from the norm":
        x = n1(x) + f(n1(x))
        return n2(x) + g(n2(x))
    if form == "post":
        x = n3(x + f(x))
        return n4(x + g(x))
    if form == "reordered":
        x = x + n3(f(x))
        return x + n4(g(x))
    if form == "sandwich":
        x = x + n3(f(n1(x)))
        return x + n4(g(n2(x)))
    if form == "deepnorm":
        x = n3(alpha * x + f(x))
        return n4(alpha * x + g(x))
    if form == "GLM-130B":
        x = 6**0.5 * n1(x) + f(n1(x))
        return 6**0.5 * n2(x) + g(n2(x))
    if form == "side by side":
        return x + f(n1(x)) + g(n2(x))
    return x + f(n1(x)) + g(n1(x))


def compared(launch, argv, form):
    """`(ours, written out, names of norms after the last layer, parameters counted, parameters there)`."""
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    config = read_configuration([*BASE.split(), *argv], launch.world_size)
    with processes(launch, config):
        from megatron_ext.models import gpt
        from megatron_ext.models.config import model_config
        from megatron_ext.planner.parameters import count

        model = gpt.build(config.model, model_config(config, 100, "local"), seed=1)[0].eval()
        torch.manual_seed(0)
        with torch.no_grad():
            for parameter in model.parameters():  # norms and biases too
                parameter.add_(0.1 * torch.randn_like(parameter))
            x = found = torch.randn(16, 2, config.model.hidden_size)
            for layer in model.decoder.layers:

                def f(y, layer=layer):
                    output, bias = layer.self_attention(y, None)
                    return output + bias

                def g(y, layer=layer):
                    output, bias = layer.mlp(y)
                    return output + bias

                x = written_out(form, layer, x, f, g)
                found, _ = layer(hidden_states=found, attention_mask=None)
        there = sum(parameter.numel() for parameter in model.parameters())
        return found.detach(), x.detach(), model.decoder.final_layernorm is not None, count(config.model, 128).total, there


@pytest.mark.compares(
    "its formula around the sublayers", within="1e-5", norm_placement="form", deepnorm_alpha=True, parallel_residual=True,
    share_parallel_norm=True, apply_residual_connection_post_layernorm=True,
)  # fmt: skip
@pytest.mark.parametrize("form", FORMS)
def test_it_is_the_formula(form, pool):
    ((found, expected, final, counted, there),) = pool.run(compared, 1, FORMS[form].split(), form)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert final == (form not in ("post", "deepnorm"))
    assert counted == there


@pytest.mark.parametrize("flags", [
    "--normalization layernorm --no-norm-bias --norm-placement sandwich --qk-layernorm",
    "--qk-layernorm --qk-layernorm-across-heads --num-attention-heads 6 --num-query-groups 2 --kv-channels 12",
    "--qk-layernorm --qk-layernorm-across-heads --normalization layernorm --position-embedding-type t5_bias",
    "--embedding-norm --add-output-bias --no-add-attention-output-bias",
    "--normalization layernorm --qk-layernorm --no-add-mlp-bias --position-embedding-type sinusoidal",
])  # fmt: skip
def test_parameters_are_counted(flags, pool):
    launched = pool.run(parameters, 1, flags.split())
    assert launched[0][0] == launched[0][1]


def parameters(launch, argv):
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    config = read_configuration([*BASE.split(), *argv], launch.world_size)
    with processes(launch, config):
        from megatron_ext.models import gpt
        from megatron_ext.models.config import model_config
        from megatron_ext.planner.parameters import count

        model = gpt.build(config.model, model_config(config, 100, "local"), seed=1)[0]
        return count(config.model, 128).total, sum(parameter.numel() for parameter in model.parameters())
