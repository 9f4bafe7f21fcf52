"""Sampling against its definitions."""

from __future__ import annotations

import torch

from megatron_ext.inference.sampling import next_token

LOGITS = torch.tensor([1.0, 3.0, 2.0, -1.0])


def draws(count=4000, **settings):
    generator = torch.Generator().manual_seed(0)
    options = dict(temperature=1.0, top_k=0, top_p=1.0) | settings
    drawn = torch.tensor([next_token(LOGITS, generator=generator, **options) for _ in range(count)])
    return torch.bincount(drawn, minlength=4) / count


def test_greedy_takes_the_likeliest():
    assert next_token(LOGITS, 0.0, 0, 1.0, torch.Generator()) == 1


def test_temperature():
    torch.testing.assert_close(draws(temperature=2.0), (LOGITS / 2).softmax(0), atol=0.03, rtol=0)


def test_top_k():
    expected = torch.tensor([0.0, *LOGITS[1:3].softmax(0), 0.0])
    torch.testing.assert_close(draws(top_k=2), expected, atol=0.03, rtol=0)


def test_top_p_keeps_the_token_that_crosses_the_border():
    assert draws(top_p=0.6)[1] == 1.0  # the likeliest alone has 0.66
    expected = torch.tensor([0.0, *LOGITS[1:3].softmax(0), 0.0])
    torch.testing.assert_close(draws(top_p=0.7), expected, atol=0.03, rtol=0)
