"""Sampling: what is left of the logits is what transformers' processors leave, bit by bit; draws follow the probabilities."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.inference.sampling import (
    NOT_FINITE,
    draw,
    keep_top_k,
    keep_top_p,
    next_tokens,
    penalise_repetition,
    uniform,
)

ROWS, VOCABULARY = 3, 40
LARGEST = 1.0 - 2.0**-53  # that a draw can start from
GREEDY = SimpleNamespace(temperature=0.0, top_k=0, top_p=1.0, repetition_penalty=1.0)


def some_logits(seed):
    """Rounded, so that there are ties; some rows are peaked, some flat."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(ROWS, VOCABULARY, generator=generator) * torch.tensor([[0.1], [1.0], [5.0]])
    return (logits * 16).round() / 16


@pytest.fixture(scope="module")
def processors():
    from transformers.generation import logits_process  # here: importing it takes long, and collecting tests should not

    return logits_process


@pytest.mark.parametrize("temperature", [0.7, 1.0, 3.0])
@pytest.mark.parametrize("top_k", [0, 1, 7, VOCABULARY])
@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("penalty", [1.0, 1.3, 0.8])
def test_what_is_left_is_what_transformers_leaves(temperature, top_k, top_p, penalty, processors):
    for seed in range(5):
        logits = some_logits(seed)
        texts = torch.randint(0, VOCABULARY, (ROWS, 9), generator=torch.Generator().manual_seed(seed))
        theirs = processors.RepetitionPenaltyLogitsProcessor(penalty)(texts, logits.clone()) if penalty != 1.0 else logits
        theirs = processors.TemperatureLogitsWarper(temperature)(texts, theirs)
        theirs = processors.TopKLogitsWarper(top_k)(texts, theirs) if top_k else theirs
        theirs = processors.TopPLogitsWarper(top_p)(texts, theirs) if top_p < 1.0 else theirs
        before = logits.clone()
        ours = keep_top_p(keep_top_k(penalise_repetition(logits, texts.tolist(), penalty) / temperature, top_k), top_p)
        assert torch.equal(ours, theirs)
        assert torch.equal(logits, before), "the caller's logits were changed"


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), top_k=st.integers(0, 12), top_p=st.floats(0.1, 1.0))
def test_draws_have_the_probabilities(seed, top_k, top_p):
    """u runs evenly through [0, 1): every token is drawn as often as its probability says, to one draw."""
    logits = keep_top_p(keep_top_k(some_logits(seed)[1], top_k), top_p)
    count = 2000
    drawn = draw(logits.expand(count, -1), (torch.arange(count, dtype=torch.float64) + 0.5) / count)
    found = torch.bincount(drawn, minlength=VOCABULARY)
    expected = logits.double().softmax(-1) * count
    assert ((found - expected).abs() <= 1.0).all()


@given(left=st.sets(st.integers(0, 9), min_size=1), u=st.sampled_from([0.0, LARGEST]) | st.floats(0.0, LARGEST))
def test_a_token_that_was_left_out_is_never_drawn(left, u):
    logits = torch.full((1, 10), float("-inf"))
    logits[0, sorted(left)] = torch.linspace(-30.0, 30.0, len(left))
    assert draw(logits, torch.tensor([u], dtype=torch.float64)).item() in left


def test_texts_draw_apart():
    """What one row draws depends on its own number alone."""
    logits = some_logits(3)
    uniforms = [0.3, 0.6, 0.9]
    flags = SimpleNamespace(temperature=1.0, top_k=0, top_p=1.0, repetition_penalty=1.0)
    together = next_tokens(logits, [[0]] * ROWS, uniforms, flags)
    alone = [next_tokens(logits[row : row + 1], [[0]], uniforms[row : row + 1], flags).item() for row in range(ROWS)]
    assert together.tolist() == alone


def test_greedy_takes_the_likeliest_after_the_penalty():
    logits = torch.tensor([[1.0, 3.0, 2.0, -1.0]])
    assert next_tokens(logits, [[1]], [0.9], GREEDY).item() == 1
    flags = SimpleNamespace(**{**vars(GREEDY), "repetition_penalty": 2.0})
    assert next_tokens(logits, [[1, 1]], [0.9], flags).item() == 2
    assert next_tokens(logits, [[0]], [0.9], flags).item() == 1


def test_rows_that_are_not_numbers_are_named():
    logits = some_logits(0)
    logits[1, 5] = float("nan")
    tokens = next_tokens(logits, [[0]] * ROWS, [0.5] * ROWS, GREEDY)
    assert (tokens == NOT_FINITE).tolist() == [False, True, False]


def test_uniform_numbers_depend_on_all_four_and_spread_evenly():
    places = list(itertools.product((1, 12), range(8), range(8), range(40)))
    numbers = torch.tensor([uniform(*place) for place in places], dtype=torch.float64)
    assert len(numbers.unique()) == len(numbers)
    assert numbers.min() >= 0.0 and numbers.max() < 1.0
    counts = torch.histc(numbers.float(), bins=10, min=0, max=1)
    assert (counts - len(numbers) / 10).abs().max() < 5 * (len(numbers) / 10) ** 0.5
