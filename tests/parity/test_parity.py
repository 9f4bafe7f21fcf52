"""Logits equal transformers' (torchscale's) to 1e-5, the loss, and every gradient to 1e-4 of its norm, for each family.

measured.json has the largest difference of logits of each, for docs/architectures.md.
"""

from __future__ import annotations

import json
import pathlib

import pytest
import torch

from tests.parity.families import FAMILIES, LENGTH, VOCAB
from tests.parity.reference import logits_and_gradients
from tests.parity.t5 import t5, t5_v1_1
from tests.parity.torchscale import deepnorm_xpos


def padded(weights):
    """The embedding's rows go up to a multiple of 128."""
    return {
        name: torch.cat([tensor, tensor.new_zeros(256 - VOCAB, *tensor.shape[1:])]) if tensor.shape[0] == VOCAB else tensor
        for name, tensor in weights.items()
    }


MEASURED = pathlib.Path(__file__).with_name("measured.json")


@pytest.mark.compares("transformers", models="family")
@pytest.mark.parametrize("family", [*FAMILIES, t5, t5_v1_1])
def test_equals_transformers(family, pool, request):
    compare(family, pool, request)


@pytest.mark.compares("torchscale", models="family")
@pytest.mark.parametrize("family", [deepnorm_xpos])
def test_equals_torchscale(family, pool, request):
    compare(family, pool, request)


def compare(family, pool, request):
    torch.manual_seed(0)
    reference, argv, names = family()
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))  # norms and biases too
    tokens = torch.randint(0, VOCAB, (2, LENGTH + 1))
    theirs = reference.eval()(tokens[:, :-1]).logits
    loss = torch.nn.functional.cross_entropy(theirs.flatten(0, 1), tokens[:, 1:].flatten())
    loss.backward()
    argv = [*argv, "--seq-length", str(LENGTH), "--tokenizer-type", "null", "--vocab-size", str(VOCAB)]
    weights = padded(names({name: tensor.detach() for name, tensor in reference.state_dict().items()}))
    ours, our_loss, gradients = pool.run(logits_and_gradients, 1, argv, weights, tokens)[0]
    difference = (ours - theirs).abs().max().item()
    assert difference <= 1e-5
    check_record(family.__name__, difference, request.config.getoption("--renew"))
    assert our_loss == pytest.approx(loss.item(), rel=1e-6)
    expected = padded(names({name: parameter.grad for name, parameter in reference.named_parameters()}))
    total = torch.cat([gradient.flatten() for gradient in expected.values()]).norm()
    for name, gradient in expected.items():
        assert (gradients[name] - gradient).norm() <= 1e-4 * max(gradient.norm(), 1e-3 * total), name


def check_record(name: str, difference: float, renew: bool) -> None:
    """Processors round differently, but not ten times as much."""
    recorded = json.loads(MEASURED.read_text())
    if renew:
        recorded[name] = float(f"{difference:.0e}")
        MEASURED.write_text(json.dumps(dict(sorted(recorded.items())), indent=2) + "\n")
    assert name in recorded, f"{MEASURED.name} lacks {name}: pytest -n 0 tests/parity/test_parity.py --renew"
    assert difference <= 10 * recorded[name], f"{MEASURED.name} is out of date: {difference:.0e}, not {recorded[name]:.0e}"
