"""A blend gives each data set its share at every prefix, each of its samples once, and knows nothing of the run's length."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.data.blend import WINDOW, Blend
from megatron_ext.data.samples import Samples

WEIGHTS = st.lists(st.fractions(Fraction(1, 10**7), 1000), min_size=2, max_size=12)
SEEDS = st.integers(0, 2**62)


class Named(Samples):
    """Sample k of data set d is [d, k]."""

    def __init__(self, name):
        self.name = name

    def __getitem__(self, number):
        return np.array([self.name, number])

    @property
    def fingerprint(self):
        return {"seq_length": 1, "sets": [{"name": str(self.name), "weight": "1"}]}


def blend(weights, seed=1):
    return Blend([Named(number) for number in range(len(weights))], [Fraction(weight) for weight in weights], seed)


def drawn(mixed, windows):
    parts = [mixed._window(window) for window in windows]
    return np.concatenate([sets for sets, _ in parts]), np.concatenate([positions for _, positions in parts])


@given(WEIGHTS, SEEDS, st.integers(1, 6))
@settings(max_examples=100, deadline=None)
def test_each_set_has_its_share_at_every_prefix(weights, seed, windows):
    mixed = blend(weights, seed)
    sets, _ = drawn(mixed, range(windows))
    length = np.arange(1, len(sets) + 1)
    for number, share in enumerate(mixed.shares):
        given_ = np.cumsum(sets == number)
        # one for rounding, one for the order within a window, which the others' places shift as well
        slack = 2 + math.log(len(weights)) + float(share) * len(weights)
        assert np.abs(given_ - length * float(share)).max() <= slack


@given(WEIGHTS, SEEDS, st.integers(0, 10**6))
@settings(max_examples=100, deadline=None)
def test_each_sample_of_a_set_comes_once_and_in_turn(weights, seed, first):
    """From any window on, without the ones before it."""
    mixed = blend(weights, seed)
    sets, positions = drawn(mixed, range(first, first + 4))
    for number, begin in enumerate(mixed.counts(first * WINDOW)):
        mine = positions[sets == number]
        assert mine.tolist() == list(range(begin, begin + len(mine)))


@given(WEIGHTS, SEEDS, st.integers(0, 2**40))
@settings(max_examples=100, deadline=None)
def test_a_sample_is_found_alone(weights, seed, number):
    mixed, again = blend(weights, seed), blend(weights, seed)
    drawn(again, range(3))
    which, position = mixed.locate(number)
    assert again.locate(number) == (which, position)
    assert mixed[number].tolist() == [which, position]


@given(WEIGHTS, st.integers(0, 10**12))
@settings(max_examples=200, deadline=None)
def test_counts_add_up_and_never_fall(weights, samples):
    mixed = blend(weights)
    before, after = mixed.counts(samples), mixed.counts(samples + 1)
    assert sum(before) == samples
    assert sorted(b - a for a, b in zip(before, after, strict=True)) == [0] * (len(weights) - 1) + [1]


@pytest.mark.parametrize("weights", [["0.7", "0.3"], ["7", "3"], ["0.999", "0.0007", "0.0003"], ["1"] * 50, ["0.5", "1e-5"]])
def test_shares_over_a_million_samples(weights):
    mixed = blend(weights)
    count = 1_000_000 // WINDOW * WINDOW
    sets, _ = drawn(mixed, range(count // WINDOW))
    found = np.bincount(sets, minlength=len(weights))
    for share, given_ in zip(mixed.shares, found, strict=True):
        assert abs(given_ - count * share) <= 3
        assert abs(given_ / count - share) <= 0.001 * share or given_ < 3000


def test_weights_are_shares_whatever_they_add_up_to():
    assert drawn(blend(["0.7", "0.3"]), range(3))[0].tolist() == drawn(blend(["70", "30"]), range(3))[0].tolist()


def test_neighbours_are_mixed_at_random():
    """Two sets of equal weight do not alternate: that would give each process of two the same set always."""
    sets, _ = drawn(blend([1, 1]), range(40))
    for ranks in (2, 4, 8):
        for rank in range(ranks):
            mine = sets[rank::ranks]
            assert abs(mine.mean() - 0.5) < 4 * 0.5 / math.sqrt(len(mine))
    assert not np.array_equal(sets[:WINDOW], sets[WINDOW : 2 * WINDOW])
    assert not np.array_equal(sets, drawn(blend([1, 1], seed=2), range(40))[0])


def test_the_fingerprint_has_the_shares():
    assert [part["weight"] for part in blend(["70", "30"]).fingerprint["sets"]] == ["7/10", "3/10"]
