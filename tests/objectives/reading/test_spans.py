"""Spans of noise: the paper's arithmetic, whole and disjoint, all ways to cut alike."""

import collections

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megatron_ext.objectives.reading.draws import Draws
from megatron_ext.objectives.reading.spans import counts, pieces, replaced, spans


def test_the_papers_arithmetic():
    """T5: 568 tokens are 512 inputs and 114 targets, ends included (its random_spans_helper)."""
    noise, count = counts(568, 0.15, 3)
    assert (568 - noise + count + 1, noise + count + 1) == (512, 114)


@given(st.integers(0, 300), st.floats(0.01, 0.9), st.floats(1, 70), st.integers(0, 10))
def test_spans_are_what_was_counted(length, rate, mean, seed):
    begins, ends = spans(length, rate, mean, Draws(seed))
    noise, count = counts(length, rate, mean)
    assert len(begins) == count and (ends - begins).sum() == noise
    if count:
        assert begins[0] > 0 and ends[-1] == length and (begins < ends).all() and (ends[:-1] < begins[1:]).all()
    elif length >= 2:
        pytest.fail("no noise in a text of two tokens and more")


def test_all_ways_to_cut_come_up_alike():
    found = collections.Counter(tuple(pieces(5, 3, Draws(1, number))) for number in range(6000))
    assert len(found) == 6 and all(abs(count - 1000) < 120 for count in found.values())


@given(st.integers(2, 80), st.integers(0, 5))
def test_a_mark_stands_for_each_span(length, seed):
    ids = np.arange(1000, 1000 + length)
    begins, ends = spans(length, 0.3, 2, Draws(seed))
    marks = np.arange(len(begins))
    expected, inside = [], dict(zip(begins.tolist(), zip(marks, ends)))
    at = 0
    while at < length:
        if at in inside:
            mark, at = inside[at]
            expected.append(mark)
        else:
            expected.append(ids[at])
            at += 1
    assert replaced(ids, begins, ends, marks).tolist() == expected
