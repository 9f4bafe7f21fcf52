"""R against the paper's formula in a loop, far away too; what the flags are by default, and what they refuse."""

from __future__ import annotations

import math

import pytest
import torch

from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.models.positions.transformer_xl import sinusoids
from megatron_ext.training.configuration import read_configuration

BASE = "--preset tiny --mock-data --vocab-size 100 --train-iters 1 --seq-length 30".split()
XL = "--position-embedding-type transformer_xl"


@pytest.mark.parametrize("width", [8, 7])
def test_it_is_the_papers(width):
    distances = [0, 1, 2, 300, 1_000_003]
    found = sinusoids(torch.tensor(distances), width)
    assert found.dtype == torch.float32
    half = -(-width // 2)
    for row, distance in enumerate(distances):
        for channel in range(width):
            angle = distance / 10000 ** (2 * (channel % half) / width)
            expected = math.sin(angle) if channel < half else math.cos(angle)
            assert found[row, channel].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("line", "segment", "memory"), [
    ("", 8, 8), ("--segment-length 5", 5, 5), ("--memory-length 3", 8, 3), ("--segment-length 30 --memory-length 0", 30, 0),
])  # fmt: skip
def test_defaults(line, segment, memory):
    model = read_configuration([*BASE, *XL.split(), *line.split()], 1).model
    assert (model.segment_length, model.memory_length) == (segment, memory)


@pytest.mark.parametrize(("line", "said"), [
    ("--segment-length 5", "--segment-length 5: has no effect with --position-embedding-type rope; use transformer_xl"),
    ("--memory-length 0", "--memory-length 0: has no effect with --position-embedding-type rope; use transformer_xl"),
    (f"{XL} --segment-length 31", "--segment-length 31: is above --seq-length 30"),
    (f"{XL} --attention-pattern sliding_window --sliding-window 4", "sliding_window: is a pattern of its own"),
    (f"{XL} --transformer-impl transformer_engine", "--transformer-impl transformer_engine: has no layers of transformer_xl"),
    (f"{XL} --attention-backend flash", "--attention-backend flash: has no kernel for transformer_xl's scores"),
    (f"{XL} --gradient-accumulation-fusion", "--gradient-accumulation-fusion: would lose the gradient"),
    (f"{XL} --bf16 --fp8-format hybrid", "--fp8-format hybrid: is for Transformer Engine's layers"),
    (f"{XL} --cuda-graph-impl local", "--cuda-graph-impl local: captures layers whose input comes once"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(line, said):
    with pytest.raises(ConfigurationError) as error:
        read_configuration([*BASE, *line.split()], 1)
    assert said in str(error.value)


def test_layers_are_local_where_transformer_engine_is_there():
    """`auto` takes Transformer Engine on a GPU; its layers could not show attention its input twice."""
    from megatron_ext.models.attention import transformer_xl
    from megatron_ext.models.config import model_config
    from megatron_ext.models.layer_specs import local_layer_spec

    config = model_config(read_configuration([*BASE, *XL.split()], 1), 100, "transformer_engine")
    assert not config.attention.plain_layers and config.own_attention
    spec = local_layer_spec(config, experts=False)
    attention = spec.submodules.self_attention
    assert (spec.module, attention.module) == (transformer_xl.Layer, transformer_xl.SelfAttention)
    assert attention.submodules.core_attention is transformer_xl.CoreAttention
