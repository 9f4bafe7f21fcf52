"""The seed gives the model: slices are drawn by (seed, name, slice), so any block equals the same block of the whole."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.backend.placement import Placement
from megatron_ext.models.initialization import draw


def whole(name, shape, split):
    return Placement(name, shape, (0,) * len(shape), shape, split)


@given(st.sampled_from([0, 1]), st.sampled_from([1, 2, 4]), st.integers(0, 3), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_a_block_equals_that_block_of_the_whole(split, parts, part, seed):
    part %= parts
    shape = (8, 12)
    local = tuple(extent // parts if axis == split else extent for axis, extent in enumerate(shape))
    start = tuple(extent * part if axis == split else 0 for axis, extent in enumerate(local))
    place = Placement("w", shape, start, local, split)
    assert torch.equal(draw(place, 0.5, seed), draw(whole("w", shape, split), 0.5, seed)[place.block])


def test_gated_matrix_is_cut_in_each_half():
    both = draw(whole("fc1", (2, 8, 4), 1), 1.0, 7)
    second = draw(Placement("fc1", (2, 8, 4), (0, 4, 0), (2, 4, 4), 1), 1.0, 7)
    assert torch.equal(second, both[:, 4:])


def test_names_and_seeds_give_other_numbers():
    a = draw(whole("a", (4, 4), 0), 1.0, 1)
    assert not torch.equal(a, draw(whole("b", (4, 4), 0), 1.0, 1))
    assert not torch.equal(a, draw(whole("a", (4, 4), 0), 1.0, 2))


def test_distribution_is_normal():
    values = draw(whole("w", (400, 500), 0), 0.02, 1).numpy().ravel()
    assert abs(values.mean()) < 3 * 0.02 / np.sqrt(values.size)
    assert abs(values.std() / 0.02 - 1) < 0.01
    assert abs((np.abs(values) < 0.02).mean() - 0.6827) < 0.005
    rows = values.reshape(400, 500)
    assert np.abs(np.corrcoef(rows) - np.eye(400)).max() < 0.25, "slices are correlated"
