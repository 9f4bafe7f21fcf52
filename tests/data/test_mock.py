"""Made-up samples that can be learnt."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from megatron_ext.data.mock import MockSamples


@given(st.integers(2, 1000), st.integers(1, 30), st.integers(0, 2**62), st.integers(0, 2**40))
def test_they_count_up_by_one_step(vocab_size, seq_length, seed, number):
    sample = MockSamples(vocab_size, seq_length, seed)[number]
    assert sample.shape == (seq_length + 1,)
    assert 0 <= sample.min() <= sample.max() < vocab_size
    steps = {int(step) for step in (sample[1:] - sample[:-1]) % vocab_size}
    assert len(steps) == 1 and steps <= {step % vocab_size for step in range(1, 9)}
    assert sample.tolist() == MockSamples(vocab_size, seq_length, seed)[number].tolist()
