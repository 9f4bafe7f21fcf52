"""Scores against the paper's formula in complex numbers and against torchscale, whatever the centre; the range of the factors."""

from __future__ import annotations

import importlib.util
import math
import pathlib
import sys
from types import SimpleNamespace

import pytest
import torch

from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.models.positions.xpos import Rotation, rotate
from megatron_ext.training.configuration import read_configuration

WIDTH = 10


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_device", lambda: "cpu")


def rotation(positions: int, base: int = 16, width: int = WIDTH) -> Rotation:
    return Rotation(SimpleNamespace(kv_channels=width, xpos_rotary_base=500, xpos_scale_base=base, max_positions=positions))


def scores(query, key, places, of: Rotation) -> torch.Tensor:
    """`[b, heads, q, k]` of `[s, b, heads, d]` at positions `[b, s]`."""
    angles = of(places)
    query, key = rotate(query, angles, key=False), rotate(key, angles, key=True)
    return torch.einsum("ibhd,jbhd->bhij", query, key)


def written_out(query, key, places, base: int = 16) -> torch.Tensor:
    """Re Σᵢ qᵢ · conj(kᵢ) · (e^(iθᵢ) · ζᵢ^(1/B))^(m − n), in double precision."""
    query, key = (torch.view_as_complex(x.double().unflatten(-1, (-1, 2))) for x in (query, key))
    pair = torch.arange(query.shape[-1], dtype=torch.float64)
    half = query.shape[-1]
    factor = torch.exp(1j * 500 ** -(pair / half)) * ((pair / half + 0.4) / 1.4) ** (1 / base)
    distance = (places[:, :, None] - places[:, None]).double()[..., None]
    return torch.einsum("ibhd,jbhd,bijd->bhij", query, key.conj(), factor**distance).real


@pytest.mark.compares("its formula in complex numbers", within="1e-4", position_embedding_type=["xpos"], xpos_scale_base=True)
@pytest.mark.parametrize("places", [
    torch.arange(12).repeat(2, 1),
    torch.tensor([[*range(4), *range(20, 24), *range(4)], [7, 3, 3, 0, 31, 30, 5, 6, 9, 1, 2, 8]]),
], ids=["in order", "any"])  # fmt: skip
def test_scores_are_the_papers(places):
    torch.manual_seed(0)
    ours = [torch.randn(12, 2, 3, WIDTH, requires_grad=True) for _ in range(2)]
    theirs = [tensor.detach().clone().requires_grad_() for tensor in ours]
    found, expected = scores(*ours, places, rotation(32)), written_out(*theirs, places)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)
    weights = torch.randn_like(expected)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        assert (a.grad - b.grad).norm() <= 1e-5 * b.grad.norm()


def test_only_distances_count():
    """Another centre and other positions at the same distances give the same scores."""
    torch.manual_seed(0)
    query, key, places = torch.randn(12, 1, 2, WIDTH), torch.randn(12, 1, 2, WIDTH), torch.arange(12)[None]
    expected = scores(query, key, places, rotation(12)).tril()
    for positions, shift in ((12, 40), (64, 0), (200, 33)):
        torch.testing.assert_close(scores(query, key, places + shift, rotation(positions)).tril(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("flag", "dtype", "most"), [("--bf16", torch.bfloat16, 54390), ("--bf16", torch.float32, 54390),
                                                     ("--fp16", torch.float16, 4532)])  # fmt: skip
def test_as_many_positions_as_the_type_bears(flag, dtype, most):
    """At either end of the most positions that are not refused, neighbours' scores are as exact as the type is, or the power of a
    number near 96 in fp32."""
    base = "--preset tiny --mock-data --vocab-size 100 --train-iters 1 --device cpu --position-embedding-type xpos".split()
    read_configuration([*base, flag, "--max-position-embeddings", str(most)], 1)
    with pytest.raises(ConfigurationError, match="leave the range"):
        read_configuration([*base, flag, "--max-position-embeddings", str(most + 10)], 1)
    torch.manual_seed(0)
    query, key = torch.randn(2, 4, 1, 2, 64).to(dtype)
    for places in (torch.arange(4)[None], torch.arange(most - 4, most)[None]):
        found = scores(query, key, places, rotation(most, base=512, width=64))
        expected = written_out(query, key, places, base=512)
        assert found.isfinite().all()
        assert (found.double() - expected).abs().max() <= max(8 * math.sqrt(64) * torch.finfo(dtype).eps, 1e-4)


@pytest.mark.parametrize(("line", "said"), [
    ("--kv-channels 7", "is odd, and rotation takes pairs"),
    ("--rotary-percent 0.5", "--rotary-percent 0.5: has no effect with --position-embedding-type xpos; use rope"),
    ("--rotary-interleaved", "--rotary-interleaved: has no effect"),
    ("--transformer-impl transformer_engine", "--position-embedding-type xpos: is there in the local layers alone"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(line, said):
    base = "--preset tiny --mock-data --vocab-size 100 --train-iters 1 --position-embedding-type xpos".split()
    with pytest.raises(ConfigurationError) as error:
        read_configuration([*base, *line.split()], 1)
    assert said in str(error.value)


def attention(launch, places):
    """A model's attention at positions `[b, s]`: its output and its input's gradient, ours and with scores written out."""
    from megatron_ext.training.layout import processes

    line = (
        "--preset tiny --mock-data --vocab-size 100 --train-iters 1 --device cpu --seq-length 32 --position-embedding-type xpos"
    )
    config = read_configuration([*line.split(), "--xpos-scale-base", "16", "--rotary-base", "500"], launch.world_size)
    with processes(launch, config):
        from megatron_ext.models import gpt
        from megatron_ext.models.config import model_config

        (model,) = gpt.build(config.model, model_config(config, 100, "local"), seed=1)
        module = model.decoder.layers[0].self_attention
        torch.manual_seed(0)
        with torch.no_grad():
            module.linear_qkv.weight.mul_(20)
        x = torch.randn(places.shape[1], places.shape[0], config.model.hidden_size, requires_grad=True)
        weights, found = torch.randn_like(x), []
        for way in ("ours", "written out"):
            if way == "ours":
                output = module(x, None, rotary_pos_emb=model._rotation(places))[0]
            else:
                query, key, value = module.get_query_key_value_tensors(x)
                share = query.shape[2] // key.shape[2]
                key, value = (tensor.repeat_interleave(share, 2) for tensor in (key, value))
                logits = written_out(query, key, places).float() / query.shape[-1] ** 0.5
                hidden = torch.full(logits.shape[-2:], -math.inf).triu(1)
                output = torch.einsum("bhij,jbhd->ibhd", (logits + hidden).softmax(-1), value).flatten(2)
                output = module.linear_proj(output)[0]
            (gradient,) = torch.autograd.grad((output * weights).sum(), x)
            found.append((output.detach(), gradient))
        return found


def test_a_models_attention_is_the_papers(pool):
    ours, theirs = pool.run(attention, 1, torch.stack([torch.arange(20), torch.arange(20) + 5]))[0]
    for a, b in zip(ours, theirs, strict=True):
        assert (a - b).norm() <= 1e-5 * b.norm()


@pytest.mark.compares("torchscale", within="5e-6 of the norm", position_embedding_type=["xpos"], xpos_scale_base=True)
@pytest.mark.parametrize("length", [9, 64, 700])
def test_scores_are_torchscales(length):
    file = pathlib.Path(sys.prefix) / "torchscale/torchscale/component/xpos_relative_position.py"
    assert file.is_file(), f"{file} is missing: bash tests/run.sh installs it"
    spec = importlib.util.spec_from_file_location("xpos_of_torchscale", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    theirs = module.XPOS(64, scale_base=512)
    torch.manual_seed(0)
    query, key = torch.randn(2, length, 1, 3, 64)
    expected = theirs(query[:, 0].transpose(0, 1), downscale=False) @ theirs(key[:, 0].transpose(0, 1), downscale=True).mT
    of = Rotation(SimpleNamespace(kv_channels=64, xpos_rotary_base=10000, xpos_scale_base=512, max_positions=2048))
    found = scores(query, key, torch.arange(length)[None], of)[0]
    assert (found - expected).tril().norm() <= 5e-6 * expected.tril().norm()
