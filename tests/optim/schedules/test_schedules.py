"""Schedules against transformers' formulas, written out, and their end points."""

from __future__ import annotations

import math

import pytest

from megatron_ext.optim.schedules import SCHEDULES, learning_rate, warmup_iters
from megatron_ext.training.configuration import read_configuration

BASE = ["--mock-data", "--tokenizer-type", "null", "--vocab-size", "100", "--train-iters", "100", "--lr", "1e-3"]


def flags(*argv):
    return read_configuration([*BASE, *argv], 1).optimizer


@pytest.mark.parametrize("style", SCHEDULES.names())
def test_warm_up_is_linear_to_the_peak(style):
    given = flags("--lr-decay-style", style, "--lr-warmup-iters", "10")
    assert [learning_rate(step, given, 100) for step in (1, 5, 10)] == pytest.approx([1e-4, 5e-4, 1e-3])


def test_cosine():
    given = flags("--lr-warmup-iters", "10", "--min-lr", "1e-4")
    for step in (11, 37, 55, 99):
        expected = 1e-4 + 9e-4 * 0.5 * (1 + math.cos(math.pi * (step - 10) / 90))
        assert learning_rate(step, given, 100) == pytest.approx(expected)
    assert learning_rate(100, given, 100) == learning_rate(500, given, 100) == pytest.approx(1e-4)


def test_linear_and_constant():
    assert learning_rate(
        55, flags("--lr-decay-style", "linear", "--lr-warmup-iters", "10", "--min-lr", "0"), 100
    ) == pytest.approx(5e-4)
    assert learning_rate(99, flags("--lr-decay-style", "constant"), 100) == pytest.approx(1e-3)


def test_default_warm_up_and_end():
    given = flags()
    assert warmup_iters(given, 1000) == 5
    assert warmup_iters(given, 10) == 1
    assert learning_rate(1000, given, 1000) == pytest.approx(1e-4)


@pytest.mark.parametrize("style", SCHEDULES.names())
def test_never_rises_after_the_peak(style):
    given = flags("--lr-decay-style", style)
    rates = [learning_rate(step, given, 200) for step in range(2, 230)]
    assert all(later <= earlier for earlier, later in zip(rates, rates[1:]))
