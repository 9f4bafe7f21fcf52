"""Logits equal transformers' (torchscale's) to 1e-5, the loss, and every gradient to 1e-4 of its norm, for each family.

measured.json has the largest difference of logits of each, for docs/architectures.md.
"""

from __future__ import annotations

import json
import pathlib

import pytest
import torch

from tests.parity.families import FAMILIES, LENGTH, VOCAB
from tests.parity.reference import beside_theirs, logits_and_gradients, of_folder
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
@pytest.mark.parametrize("family", FAMILIES)
def test_equals_transformers(family, pool, request, tmp_path):
    """A folder that transformers saves is read as `--load` reads it: flags from config.json, weights by the family's mapping."""
    torch.manual_seed(0)
    reference, tokens = perturbed(family()), torch.randint(0, VOCAB, (2, LENGTH + 1))
    theirs, loss = logits_and_loss(reference, tokens)
    reference.save_pretrained(tmp_path / "weights")
    ours, our_loss, gradients = pool.run(of_folder, 1, tmp_path / "weights", tokens)[0]
    pairs = beside_theirs(gradients, reference, tmp_path / "gradients")
    compare(family, request, (ours, our_loss, pairs), (theirs, loss))


@pytest.mark.compares("transformers", models="family")
@pytest.mark.parametrize("family", [t5, t5_v1_1])
def test_equals_transformers_decoder(family, pool, request):
    by_name(family, pool, request)


@pytest.mark.compares("torchscale", models="family")
@pytest.mark.parametrize("family", [deepnorm_xpos])
def test_equals_torchscale(family, pool, request):
    by_name(family, pool, request)


def by_name(family, pool, request):
    """What has no folder of Hugging Face's comes with its flags and its weights under our names."""
    torch.manual_seed(0)
    reference, argv, names = family()
    perturbed(reference)
    tokens = torch.randint(0, VOCAB, (2, LENGTH + 1))
    theirs, loss = logits_and_loss(reference, tokens)
    argv = [*argv, "--seq-length", str(LENGTH), "--tokenizer-type", "null", "--vocab-size", str(VOCAB)]
    weights = padded(names({name: tensor.detach() for name, tensor in reference.state_dict().items()}))
    ours, our_loss, gradients = pool.run(logits_and_gradients, 1, argv, weights, tokens)[0]
    expected = padded(names({name: parameter.grad for name, parameter in reference.named_parameters()}))
    compare(family, request, (ours, our_loss, {name: (gradients[name], expected[name]) for name in expected}), (theirs, loss))


def perturbed(reference, size: float = 0.05):
    """Norms and biases too."""
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.add_(size * torch.randn_like(parameter))
    return reference.eval()


def logits_and_loss(reference, tokens):
    """`(logits, loss)`; the gradients are with the parameters."""
    logits = reference(tokens[:, :-1]).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
    loss.backward()
    return logits, loss


def compare(family, request, ours, theirs):
    """`ours`: logits, loss, `(gradient, expected)` by name; `theirs`: logits, loss."""
    (logits, our_loss, gradients), (their_logits, their_loss) = ours, theirs
    difference = (logits - their_logits).abs().max().item()
    assert difference <= 1e-5
    check_record(family.__name__, difference, request.config.getoption("--renew"))
    assert our_loss == pytest.approx(their_loss.item(), rel=1e-6)
    total = torch.cat([expected.flatten() for _, expected in gradients.values()]).norm()
    for name, (gradient, expected) in gradients.items():
        assert (gradient - expected).norm() <= 1e-4 * max(expected.norm(), 1e-3 * total), name


def check_record(name: str, difference: float, renew: bool) -> None:
    """Processors round differently, but not ten times as much."""
    recorded = json.loads(MEASURED.read_text())
    if renew:
        recorded[name] = float(f"{difference:.0e}")
        MEASURED.write_text(json.dumps(dict(sorted(recorded.items())), indent=2) + "\n")
    assert name in recorded, f"{MEASURED.name} lacks {name}: pytest -n 0 tests/parity/test_parity.py --renew"
    assert difference <= 10 * recorded[name], f"{MEASURED.name} is out of date: {difference:.0e}, not {recorded[name]:.0e}"
