"""What may follow --data-path."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megatron_ext.data.paths import Weighted, parse, split_shares


@pytest.mark.parametrize(("words", "expected"), [
    (["a"], [("a", None)]),
    (["a", "b", "c"], [("a", None), ("b", None), ("c", None)]),
    (["0.7", "a", "0.3", "b"], [("a", Fraction(7, 10)), ("b", Fraction(3, 10))]),
    (["2", "a"], [("a", Fraction(2))]),
    (["1e-3", "a", "5", "./1"], [("a", Fraction(1, 1000)), ("./1", Fraction(5))]),
])  # fmt: skip
def test_blends(words, expected):
    assert parse(words) == [Weighted(*each) for each in expected]


@pytest.mark.parametrize(("words", "reason"), [
    ([], "names no data set"),
    (["0.7", "a", "0.3"], "has 3 words, and weights and prefixes come in pairs"),
    (["0.7", "a", "x", "b"], "has x where a weight should stand, before b"),
    (["0.7", "0.3", "a", "b"], "has 0.3 where a prefix should stand, after the weight 0.7; write ./0.3 if it is one"),
    (["-1", "a", "2", "b"], "gives a the weight -1; a weight is a number above 0"),
    (["nan", "a", "2", "b"], "gives a the weight nan"),
    (["1e999", "a", "2", "b"], "gives a the weight 1e999"),
    (["0", "a", "2", "b"], "nothing of it would be read; leave it out"),
    (["0.5", "a", "0.5", "a"], "names a twice"),
])  # fmt: skip
def test_what_is_wrong_is_said(words, reason):
    with pytest.raises(ValueError) as caught:
        parse(words)
    assert reason in str(caught.value)


@given(st.lists(st.text("ab./-_", min_size=1), min_size=1, max_size=8, unique=True), st.data())
def test_weights_and_prefixes_come_back(prefixes, data):
    weights = [data.draw(st.integers(1, 10**6)) for _ in prefixes]
    words = [word for weight, prefix in zip(weights, prefixes, strict=True) for word in (str(weight / 1000), prefix)]
    found = parse(words)
    assert [(each.prefix, each.weight) for each in found] == [
        (prefix, Fraction(weight, 1000)) for weight, prefix in zip(weights, prefixes, strict=True)
    ]


def test_shares_of_a_split():
    assert split_shares("969,30,1") == split_shares("969/30/1") == [969.0, 30.0, 1.0]
