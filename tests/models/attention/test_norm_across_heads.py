"""The norm over all heads, whole and spread over tensor-parallel processes, against torch's own over the flattened heads."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.training.configuration import read_configuration

HEADS, WIDTH = 6, 5
SHAPE = (7, 2, HEADS, WIDTH)


def drawn() -> list[torch.Tensor]:
    """Heads, weight, bias, and what the output is weighed by."""
    generator = torch.Generator().manual_seed(0)
    heads, weight, bias, weights = (
        torch.randn(shape, generator=generator) for shape in (SHAPE, (HEADS * WIDTH,), (HEADS * WIDTH,), SHAPE)
    )
    return [3 * heads + 1, weight, bias, weights]


def spread(launch, kind, zero_centred):
    """This process's heads of the output, and of the gradients of heads, weight and bias."""
    from megatron_ext.backend import distributed

    distributed.start(launch, "cpu")
    try:
        distributed.initialize_model_parallel(tensor=launch.world_size)
        from megatron_ext.models.attention.norm_across_heads import NormAcrossHeads

        config = SimpleNamespace(norm=kind, norm_bias=True, layernorm_zero_centered_gamma=zero_centred,
                                 tensor_model_parallel_size=launch.world_size, params_dtype=torch.float32)  # fmt: skip
        norm = NormAcrossHeads(config, WIDTH, 1e-3, heads=HEADS)
        assert [bool(parameter.tensor_model_parallel) for parameter in norm.parameters()] == [True] * (1 + (kind == "layernorm"))
        share = HEADS // launch.world_size
        mine = slice(launch.rank * share, (launch.rank + 1) * share)
        heads, weight, bias, weights = drawn()
        with torch.no_grad():
            for parameter, whole in zip(norm.parameters(), (weight, bias)):
                parameter.copy_(whole.view(HEADS, WIDTH)[mine].flatten())
        heads = heads[:, :, mine].clone().requires_grad_()
        output = norm(heads)
        (output * weights[:, :, mine]).sum().backward()
        return [output.detach(), heads.grad], [parameter.grad for parameter in norm.parameters()]
    finally:
        distributed.stop()


@pytest.mark.parametrize("zero_centred", [False, True], ids=["", "1 + weight"])
@pytest.mark.parametrize("kind", ["rmsnorm", "layernorm"])
@pytest.mark.parametrize("processes", [1, 2])
def test_equals_torchs_norm_of_all_channels(processes, kind, zero_centred, pool):
    heads, weight, bias, weights = (tensor.requires_grad_() for tensor in drawn())
    channels, factor = heads.flatten(2), weight + zero_centred
    expected = (F.layer_norm(channels, channels.shape[2:], factor, bias, 1e-3) if kind == "layernorm"
                else F.rms_norm(channels, channels.shape[2:], factor, 1e-3)).view(SHAPE)  # fmt: skip
    (expected * weights).sum().backward()
    ranks = pool.run(spread, processes, kind, zero_centred)
    for found, theirs in zip(zip(*(rank[0] for rank in ranks)), (expected, heads.grad)):
        torch.testing.assert_close(torch.cat(found, dim=2), theirs, rtol=1e-5, atol=1e-5)
    for found, theirs in zip(zip(*(rank[1] for rank in ranks)), (weight.grad, bias.grad)):
        torch.testing.assert_close(torch.cat(found), theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("line", "said"), [
    ("", "--qk-layernorm-across-heads: belongs to --qk-layernorm; add it, or leave this out"),
    ("--qk-layernorm --transformer-impl transformer_engine", "is there in the local layers alone"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(line, said):
    base = "--preset tiny --mock-data --vocab-size 100 --train-iters 1 --qk-layernorm-across-heads".split()
    with pytest.raises(ConfigurationError) as error:
        read_configuration([*base, *line.split()], 1)
    assert said in str(error.value)
