"""Whole validation: every token but the first is a target once, in order, and nothing comes after the last."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.data.in_order import InOrder
from megatron_ext.data.index import Documents
from megatron_ext.data.samples import NO_TOKEN
from tests.data.pairs import LENGTHS, numbered


@given(LENGTHS, st.integers(1, 50), st.data())
@settings(max_examples=80, deadline=None)
def test_every_token_but_the_first_is_a_target_once_in_order(lengths, seq_length, data):
    first = data.draw(st.integers(0, len(lengths)))
    last = data.draw(st.integers(first, len(lengths)))
    with numbered(lengths) as whole:
        samples = InOrder(Documents(whole.index, first, last, whole.content), seq_length)
        tokens = list(range(sum(lengths[:first]), sum(lengths[:last])))
        drawn = [samples[number] for number in range(samples.size)]
        assert all(sample.shape == (seq_length + 1,) for sample in drawn)
        pairs = [pair for sample in drawn for pair in zip(sample[:-1].tolist(), sample[1:].tolist(), strict=True)]
        assert [pair for pair in pairs if pair[1] != NO_TOKEN] == list(zip(tokens[:-1], tokens[1:], strict=True))
        for number in (samples.size, samples.size + 1, samples.size + 1000):
            assert (samples[number] == NO_TOKEN).all()


def test_one_token_predicts_nothing():
    with numbered([0, 1, 0]) as documents:
        assert InOrder(documents, 4).size == 0
