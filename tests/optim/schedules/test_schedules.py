"""Schedules against megatron-core's scheduler, and their end points."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.optim.schedules import SCHEDULES, Way, decoupled, in_samples, learning_rate, way
from megatron_ext.training.configuration import read_configuration

BASE = ["--mock-data", "--tokenizer-type", "null", "--vocab-size", "100", "--train-iters", "100", "--lr", "1e-3"]


def flags(*argv):
    return read_configuration([*BASE, *argv], 1).optimizer


@given(
    st.sampled_from(SCHEDULES.names()),
    st.integers(0, 20),
    st.integers(1, 50),
    st.integers(1, 90),
    st.floats(1e-5, 1),
    st.floats(0, 1),
)
@settings(max_examples=300, deadline=None)
def test_equals_megatron_core(style, warmup, decay, position, peak, part):
    from megatron.core.optimizer_param_scheduler import OptimizerParamScheduler

    decay += warmup
    theirs = SimpleNamespace(
        max_lr=peak, min_lr=peak * part / 2, init_lr=peak * part, lr_warmup_steps=warmup, lr_decay_steps=decay,
        num_steps=position, lr_decay_style=style.replace("_", "-"))  # fmt: skip
    ours = SimpleNamespace(lr_decay_style=style, lr_warmup_init=peak * part)
    found = learning_rate(position, ours, Way(warmup, decay, peak, peak * part / 2))
    assert found == pytest.approx(OptimizerParamScheduler.get_lr(theirs, {}), rel=1e-9)


def test_default_warm_up_and_end():
    given = flags()
    assert way(given, 1000) == Way(5, 1000, 1e-3, pytest.approx(1e-4))
    assert way(given, 10).warmup == 1
    assert learning_rate(1000, given, way(given, 1000)) == pytest.approx(1e-4)


@pytest.mark.parametrize("style", SCHEDULES.names())
def test_never_rises_after_the_peak(style):
    given = flags("--lr-decay-style", style)
    rates = [learning_rate(step, given, way(given, 200)) for step in range(2, 230)]
    assert all(later <= earlier for earlier, later in zip(rates, rates[1:]))


def test_warm_up_begins_where_asked():
    given = flags("--lr-warmup-init", "5e-4", "--lr-warmup-iters", "10")
    assert [learning_rate(step, given, way(given, 100)) for step in (1, 5, 10)] == pytest.approx([5.5e-4, 7.5e-4, 1e-3])


def test_samples_replace_updates():
    given = flags("--lr-decay-samples", "800", "--lr-warmup-samples", "80")
    assert in_samples(given, batch_grows=False)
    assert way(given, 5000, samples=True) == Way(80, 800, 1e-3, pytest.approx(1e-4))
    assert not in_samples(flags(), batch_grows=False) and in_samples(flags(), batch_grows=True)
    assert not in_samples(flags("--lr-decay-iters", "9"), batch_grows=True)


def test_embedding_and_output_go_their_own_way():
    assert decoupled(flags(), way(flags(), 100)) is None
    given = flags("--decoupled-lr", "1e-2", "--decoupled-min-lr", "1e-3")
    assert decoupled(given, way(given, 100)) == Way(1, 100, 1e-2, 1e-3)
    assert decoupled(flags("--decoupled-lr", "1e-2"), way(flags(), 100)).least == pytest.approx(1e-4)
