"""Every activation against its formula, and against transformers' where it has it."""

from __future__ import annotations

import math

import pytest
import torch

from megatron_ext.models.config import ACTIVATIONS
from megatron_ext.models.flags import gated

X = torch.linspace(-6, 6, 1001, dtype=torch.float64)
NORMAL = 0.5 * (1 + torch.erf(X / math.sqrt(2)))
TANH = 0.5 * X * (1 + torch.tanh(math.sqrt(2 / math.pi) * (X + 0.044715 * X**3)))
SIGMOID = 1 / (1 + torch.exp(-X))
QUICK = X / (1 + torch.exp(-1.702 * X))
POSITIVE = X * (X > 0)

# What the gate, or for those without one the whole input, goes through.
FORMULAS = {
    "relu": POSITIVE, "gelu": X * NORMAL, "gelu_tanh": TANH, "silu": X * SIGMOID, "squared_relu": POSITIVE**2,
    "quick_gelu": QUICK, "glu": SIGMOID, "reglu": POSITIVE, "geglu": X * NORMAL, "geglu_tanh": TANH, "swiglu": X * SIGMOID,
    "quick_geglu": QUICK,
}  # fmt: skip
TRANSFORMERS = {"relu": "relu", "gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh", "silu": "silu", "squared_relu": "relu2",
                "quick_gelu": "quick_gelu"}  # fmt: skip


def test_none_is_left_out():
    assert set(ACTIVATIONS) == set(FORMULAS)


@pytest.mark.compares("its formula", within="1e-12", activation="name")
@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_it_is_its_formula(name):
    module = ACTIVATIONS.load(name)
    torch.testing.assert_close(module.FUNCTION(X), FORMULAS[name], rtol=1e-12, atol=1e-12)
    assert gated(name) == module.GATED == (name in ("glu", "reglu", "geglu", "geglu_tanh", "swiglu", "quick_geglu"))


@pytest.mark.compares("transformers' activation", within="1e-12", activation="name")
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_it_is_transformers(name):
    from transformers.activations import ACT2FN

    torch.testing.assert_close(ACTIVATIONS.load(name).FUNCTION(X), ACT2FN[TRANSFORMERS[name]](X), rtol=1e-12, atol=1e-12)
