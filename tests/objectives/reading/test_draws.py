"""Random numbers of a sample: fixed for good, of the distributions that they say, apart from each other."""

import numpy as np
import pytest

from megatron_ext.objectives.reading.draws import Draws

FIRST, NEXT, ORDER = [0.0028073093853890896, 0.05150781339034438, 0.8588166157715023], [490, 815, 693], [4, 2, 0, 1, 3]


def test_what_is_drawn_is_fixed_for_good():
    """Another number would change every sample of every run that goes on."""
    draws = Draws(7, 11, 0, 4)
    assert draws.uniforms(3).tolist() == FIRST
    assert [draws.below(1000) for _ in range(3)] == NEXT
    assert draws.order(5).tolist() == ORDER


def test_uniform():
    found = np.concatenate([Draws(1, number).uniforms(100) for number in range(2000)])
    assert 0 <= found.min() and found.max() < 1
    counts = np.bincount((found * 20).astype(int), minlength=20)
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 45  # chi square, 19 degrees: one in a thousand
    columns = found.reshape(2000, 100)
    assert abs(np.corrcoef(columns[:, 0], columns[:, 1])[0, 1]) < 0.08
    assert abs(np.corrcoef(columns[:-1, 0], columns[1:, 0])[0, 1]) < 0.08


def test_orders_are_all_alike():
    found = [tuple(Draws(3, number).order(3)) for number in range(6000)]
    counts = [found.count(order) for order in sorted(set(found))]
    assert len(counts) == 6 and max(abs(count - 1000) for count in counts) < 120


def test_some_are_different_and_rise():
    for number in range(50):
        found = Draws(number).some(7, 20)
        assert (np.diff(found) > 0).all() and 0 <= found[0] and found[-1] < 20


@pytest.mark.parametrize("mean", [0.5, 3.0, 40.0])
def test_poisson(mean):
    found = np.concatenate([Draws(5, number).poisson(mean, 100) for number in range(300)])
    assert found.mean() == pytest.approx(mean, abs=4 * np.sqrt(mean / len(found)))
    assert found.var() == pytest.approx(mean, rel=0.05)
