"""A mixture of denoisers: each document one of them, its mode in front; the document can be put together again."""

import collections
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megatron_ext.arguments.problems import UserError
from megatron_ext.objectives import mixture_of_denoisers
from megatron_ext.objectives.reading.draws import Draws
from tests.objectives.made import control, ordinary, setting, tokenizer
from tests.objectives.test_span_corruption import put_together

MODES = {control(f"[{mode}]"): mode for mode in "RSX"}


def made(length: int, seed: int, **flags):
    pairs, draws = mixture_of_denoisers.Pairs(setting("mixture_of_denoisers", **flags)), Draws(seed)
    return pairs.choose(draws)(ordinary(length), draws)


@given(st.integers(0, 200), st.integers(0, 40))
def test_the_document_can_be_put_together_again(length, seed):
    pair = made(length, seed)
    assert pair.inputs[0] in MODES
    assert put_together(pair._replace(inputs=pair.inputs[1:]), tokenizer().eod) == ordinary(length).tolist()


def test_each_of_seven_comes_up_alike():
    """Told apart by mode, noise and spans of a document of 200 tokens."""
    found = collections.Counter()
    for seed in range(3500):
        pair = made(200, seed)
        spans = sum(token < 150 for token in pair.labels[:-1])
        found[MODES[int(pair.inputs[0])], len(pair.labels) - 1 - spans, int(spans)] += 1
    assert set(found) == {("R", 30, 10), ("R", 30, 4), ("S", 50, 1), ("X", 100, 33), ("X", 100, 12), ("X", 30, 1), ("X", 100, 2)}
    assert all(abs(count - 500) < 90 for count in found.values())


def test_s_is_the_end_of_the_document():
    for seed in range(60):
        pair = made(100, seed)
        if MODES[int(pair.inputs[0])] == "S":
            assert pair.labels[1:-1].tolist() == ordinary(100)[75:-1].tolist()


def test_others_by_yaml(tmp_path):
    file = tmp_path / "denoisers.yaml"
    file.write_text("- {mode: X, rate: 0.5, mean: 4, share: 3}\n- {mode: S, rate: 0.5}\n")
    modes = [MODES[int(made(60, seed, ul2_denoisers=str(file)).inputs[0])] for seed in range(1000)]
    assert modes.count("X") / 1000 == pytest.approx(0.75, abs=0.045) and "R" not in modes


@pytest.mark.parametrize(("content", "said"), [
    ("{}", "expected a list of denoisers"),
    ("- {mode: R}", "denoiser 1: expected mode and rate"),
    ("- {mode: R, rate: 0.1, size: 3}", "denoiser 1: expected mode and rate"),
    ("- {mode: R, rate: 0.1}\n- {mode: R, rate: much}", "denoiser 2: rate must be a finite number above 0, and is 'much'"),
    ("- {mode: R, rate: 0.1, mean: 3, share: .inf}", "denoiser 1: share must be a finite number above 0, and is inf"),
    ("- {mode: R, rate: 1.5}", "denoiser 1: rate must be below 1"),
    ("- [", "cannot be read"),
])  # fmt: skip
def test_what_is_wrong_with_a_file_is_said(tmp_path, content, said):
    file = tmp_path / "denoisers.yaml"
    file.write_text(content)
    with pytest.raises(UserError, match=re.escape(said)):
        made(10, 0, ul2_denoisers=str(file))


def test_sizes_are_averages():
    pairs = mixture_of_denoisers.Pairs(setting("mixture_of_denoisers"))
    found = np.mean([[len(part) for part in made(200, seed)[:2]] for seed in range(700)], 0)
    assert pairs.sizes(200) == pytest.approx(found, rel=0.03)
    assert sum(pairs.least(200)) <= sum(pairs.sizes(200))
