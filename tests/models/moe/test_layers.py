"""Which layers have experts, by Megatron-LM's own ways to say it."""

from __future__ import annotations

import pytest

from megatron_ext.models.moe.layers import with_experts


@pytest.mark.compares("Megatron-LM's ways to say it", within="0", moe_layer_freq=True)
@pytest.mark.parametrize(
    ("frequency", "expected"),
    [
        ("1", "111111"),
        ("2", "101010"),
        ("4", "100010"),
        ("9", "100000"),
        ("[0]*3+[1]*3", "000111"),
        ("([1]*1+[0]*1)*3", "101010"),
        ("([0,1])*3", "010101"),
        ("2*[1, 0, 1]", "101101"),
        ("[0, 0, 1, 1, 0, 1]", "001101"),
    ],
)
def test_layers_that_have_experts(frequency, expected):
    assert with_experts(frequency, 6) == tuple(digit == "1" for digit in expected)


@pytest.mark.parametrize(
    ("frequency", "said"),
    [
        ("0", "expected 1 or more"),
        ("-1", "expected a number, or a pattern"),
        ("1.5", "expected a number, or a pattern"),
        ("", "expected a number, or a pattern"),
        ("[1]*5", "has 5 entries for 6 layers"),
        ("[0]*6", "gives no layer experts"),
        ("[2]*6", "expected 1 for a layer with experts"),
        ("[[1]]*6", "expected 1 for a layer with experts"),
        ("[1]*6 if True else 2", "expected a number, or a pattern"),
        ("__import__('os').getcwd()", "expected a number, or a pattern"),
        ("[1]+3", "expected a number, or a pattern"),
        ("[1]*10**9", "expected a number, or a pattern"),
        ("[1]*1000000000", "is longer than any model"),
        ("[", "expected a number, or a pattern"),
    ],
)
def test_what_is_no_pattern_is_said(frequency, said):
    with pytest.raises(ValueError, match=said):
        with_experts(frequency, 6)
