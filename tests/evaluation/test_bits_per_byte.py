"""Windows cover every target once with half a window before it; the sum of a known model is known."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from megatron_ext.evaluation.bits_per_byte import windows


@given(st.integers(1, 200), st.integers(1, 40))
def test_every_target_counts_once_with_context(length, window):
    counted = []
    for begin, end, first in windows(length, window):
        assert begin <= first < end <= length and end - begin <= window
        assert begin == 0 or first - begin >= window // 2
        counted += range(first, end)
    assert counted == list(range(length))


class Bytes:
    """A tokenizer of bytes with 0 as the end; a stand-in for data, not for the thing under test."""

    eod = 0

    def encode(self, text):
        return [1 + byte for byte in text.encode()]


class Uniform(torch.nn.Module):
    config = SimpleNamespace(vocab_size=257)

    def forward(self, inputs, positions, mask, **settings):
        return torch.zeros((*inputs.shape, 300))


def scored(launch, model, texts, window, batch_size, *settings):
    """The score of a model that every process holds whole."""
    from megatron_ext.backend import distributed
    from megatron_ext.evaluation.bits_per_byte import score

    device = distributed.start(launch, "cpu")
    distributed.initialize_model_parallel()
    return score(model, Bytes(), texts, window, batch_size, device, *settings)


@pytest.mark.parametrize(("batch_size", "world_size"), [(1, 1), (3, 1), (1, 3)])
def test_uniform_model_needs_log2_of_the_vocabulary_a_token(batch_size, world_size, pool):
    texts = ["a" * 5, "bc" * 30, "é"]
    tokens = 5 + 60 + 2 + 3
    for found in pool.run(scored, world_size, Uniform(), texts, 8, batch_size):
        assert (found.tokens, found.size, found.documents) == (tokens, 67, 3)
        assert found.bits_per_byte == pytest.approx(tokens * math.log2(257) / 67)


class WithoutEnds(Uniform):
    def forward(self, inputs, positions, mask, **settings):
        assert (inputs != Bytes.eod).all()
        return super().forward(inputs, positions, mask, **settings)


def test_a_model_that_learnt_document_by_document_is_fed_no_end(pool):
    """The code is as complete as the other."""
    (found,) = pool.run(scored, 1, WithoutEnds(), ["a" * 5, "bc" * 30, "é", ""], 8, 1, False)
    assert found.tokens == 6 + 61 + 3 + 1
    assert found.nats == pytest.approx(found.tokens * math.log(257))


class Copies(torch.nn.Module):
    """Predicts each token from the one before it: sees whether inputs and targets are lined up across windows and padding."""

    config = SimpleNamespace(vocab_size=257)

    def forward(self, inputs, positions, mask, **settings):
        logits = torch.zeros((*inputs.shape, 257))
        return logits.scatter(2, (inputs[..., None] + 1) % 257, 50.0)


def test_a_model_that_knows_the_text_needs_no_bits(pool):
    text = "".join(map(chr, range(100)))
    found = pool.run(scored, 1, Copies(), [text, text[:30]], 16, 2)[0]
    surprises = 2  # the end of each text
    assert found.nats == pytest.approx(surprises * 50.0, rel=1e-3)
