"""Prefix language modelling: the document in two, wherever it is cut; the cut drawn evenly, or given."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megatron_ext.objectives import prefix_lm
from megatron_ext.objectives.reading.draws import Draws
from tests.objectives.made import ordinary, setting


@given(st.integers(0, 100), st.integers(0, 5), st.sampled_from([None, 1, 30]))
def test_the_document_in_two(length, seed, fixed):
    ids = ordinary(length)
    pair = prefix_lm.Pairs(setting("prefix_lm", prefix_length=fixed))(ids, Draws(seed))
    assert np.concatenate([pair.inputs, pair.labels]).tolist() == ids.tolist()
    if length:
        assert len(pair.labels) >= 1 <= len(pair.inputs)
        assert fixed is None or len(pair.inputs) == min(fixed, length)


def test_cuts_are_drawn_evenly():
    pairs = prefix_lm.Pairs(setting("prefix_lm"))
    counts = np.bincount([len(pairs(ordinary(9), Draws(number)).inputs) for number in range(9000)], minlength=10)
    assert counts[0] == 0 and counts[1:] == pytest.approx(1000, abs=130)
