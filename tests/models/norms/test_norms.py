"""Norms against their formulas written out, forward and backward, with the weight as it is and as 1 + weight."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from megatron_ext.models.config import NORMS


def written_out(name, x, gain, bias):
    if name == "layernorm":
        centred = x - x.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * gain + bias
    return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * gain


def make(name, zero_centred, dtype, monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_device", lambda: torch.device("cpu"))  # as backend/cpu.py has it
    config = SimpleNamespace(
        params_dtype=dtype, norm_bias=True, layernorm_zero_centered_gamma=zero_centred, sequence_parallel=True
    )
    norm = NORMS.load(name).Norm(config, 24)
    assert norm.weight.sequence_parallel
    return norm


@pytest.mark.compares("its formula", within="1e-7", normalization="name")
@pytest.mark.parametrize("zero_centred", [False, True])
@pytest.mark.parametrize("name", NORMS.names())
def test_equals_its_formula(name, zero_centred, monkeypatch):
    torch.manual_seed(0)
    norm = make(name, zero_centred, torch.float64, monkeypatch)
    x = torch.randn(5, 2, 24, dtype=torch.float64, requires_grad=True)
    gain, bias = (torch.randn(24, dtype=torch.float64, requires_grad=True) for _ in range(2))
    with torch.no_grad():
        norm.weight.copy_(gain - 1 if zero_centred else gain)
        if name == "layernorm":
            norm.bias.copy_(bias)
    weights = torch.randn(5, 2, 24, dtype=torch.float64)
    found, expected = norm(x), written_out(name, x, gain, bias)
    torch.testing.assert_close(found, expected)
    ours = torch.autograd.grad((found * weights).sum(), [x, *norm.parameters()])
    theirs = torch.autograd.grad((expected * weights).sum(), [x, gain, bias][: len(ours)])
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", NORMS.names())
def test_a_small_weight_is_not_lost_in_16_bits(name, monkeypatch):
    """1.001 is 1 in bfloat16; 0.001 beside a 1 that is not stored is not."""
    plain, centred = (make(name, kind, torch.bfloat16, monkeypatch) for kind in (False, True))
    with torch.no_grad():
        plain.weight.fill_(1.001)
        centred.weight.fill_(0.001)
    assert plain.weight.eq(1).all() and centred.weight.sub(0.001).abs().max() < 1e-5
