"""A computed shuffle: a bijection, the same one by one and in bulk, and as good as a drawn one."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.data import permutation
from megatron_ext.data.permutation import Permutation, hashed, keys

SEEDS = st.integers(0, 2**62)
LARGE = 2**20 + 3
JUST_BEYOND = permutation._TABLE + 3  # the table


@given(st.integers(1, 3000), SEEDS, st.booleans())
@settings(max_examples=200, deadline=None)
def test_every_number_stands_at_one_place(size, seed, table):
    before, permutation._TABLE = permutation._TABLE, 2**14 if table else 0
    try:
        assert sorted(Permutation(size, seed).numbers(0, size).tolist()) == list(range(size))
    finally:
        permutation._TABLE = before


@pytest.mark.parametrize("size", [JUST_BEYOND - 3, JUST_BEYOND, LARGE])
def test_every_number_of_a_large_one_stands_at_one_place(size):
    numbers = Permutation(size, 3).numbers(0, size)
    assert numbers.dtype == np.int64
    assert np.array_equal(np.sort(numbers), np.arange(size))


@given(st.one_of(st.integers(1, 5000), st.integers(JUST_BEYOND, 2**50)), SEEDS, st.data())
@settings(max_examples=200, deadline=None)
def test_one_by_one_and_in_bulk_are_the_same(size, seed, data):
    shuffle = Permutation(size, seed)
    begin = data.draw(st.integers(0, size - 1))
    end = min(begin + data.draw(st.integers(1, 40)), size)
    bulk = shuffle.numbers(begin, end)
    assert bulk.tolist() == [shuffle.number(place) for place in range(begin, end)]
    assert 0 <= bulk.min() and bulk.max() < size


def test_it_never_changes():
    """Runs of earlier versions go on: these are the first places of two shuffles, as they were when this was written.

    Where one must change, so must FORMAT (data/fingerprint.py).
    """
    assert Permutation(10, 1234).numbers(0, 10).tolist() == [0, 1, 4, 5, 6, 7, 3, 2, 9, 8]
    assert Permutation(100_000, 1234).numbers(0, 5).tolist() == [51869, 72917, 61437, 96197, 37287]
    assert Permutation(10**9, 1234, 0, 3, 1).numbers(0, 3).tolist() == [62836939, 793086526, 778360718]


def chi_square(observed, expected):
    return float(((observed - expected) ** 2 / expected).sum())


def limit(freedom):
    """Chi-square with this many degrees of freedom is below this in all but one of a hundred million cases."""
    return freedom + 8 * math.sqrt(freedom) + 16


def test_every_order_is_as_likely_as_another():
    """All 120 orders of five, over 12,000 seeds."""
    counts = dict.fromkeys(itertools.permutations(range(5)), 0)
    for seed in range(12_000):
        counts[tuple(Permutation(5, seed).numbers(0, 5).tolist())] += 1
    assert chi_square(np.array(list(counts.values())), 100) < limit(119)


@pytest.mark.parametrize("size", [JUST_BEYOND, LARGE])
def test_neighbours_end_up_anywhere(size):
    """Where a place's number and the next one's lie, in 16 × 16 fields, over all places."""
    numbers = Permutation(size, 7).numbers(0, size) * 16 // size
    fields = np.bincount(numbers[:-1] * 16 + numbers[1:], minlength=256)
    assert chi_square(fields, (size - 1) / 256) < limit(255)


@pytest.mark.parametrize("size", [JUST_BEYOND, LARGE])
def test_seeds_give_unlike_shuffles(size):
    same = (Permutation(size, 1, 0).numbers(0, size) == Permutation(size, 1, 1).numbers(0, size)).sum()
    assert same < 12  # one is expected


def test_the_hash_of_a_row_of_numbers_is_even():
    found = hashed(np.arange(256_000, dtype=np.uint64), keys(1, 5)[0])
    assert found.max() < 2**32
    assert chi_square(np.bincount((found >> np.uint64(24)).astype(int), minlength=256), 1000) < limit(255)
