"""The core attention against scores written out, with grouped queries, forward and backward."""

from __future__ import annotations

import math

import pytest
import torch

from tests.models.attention.cores import core


def naive(query, key, value):
    """softmax(q·kᵀ/√d)·v, a loop over heads; `[s, b, heads, d]`."""
    length, _, heads, width = query.shape
    share = heads // key.shape[2]
    mask = torch.full((length, length), float("-inf")).triu(1)
    outputs = []
    for head in range(heads):
        q, k, v = query[:, :, head], key[:, :, head // share], value[:, :, head // share]
        scores = torch.einsum("ibd,jbd->bij", q, k) / math.sqrt(width) + mask
        outputs.append(torch.einsum("bij,jbd->ibd", scores.softmax(-1), v))
    return torch.stack(outputs, dim=2).flatten(2)


@pytest.mark.parametrize(("heads", "groups"), [(4, 4), (6, 2), (3, 1)])
@pytest.mark.parametrize("length", [1, 7])
def test_equals_scores_written_out(heads, groups, length):
    torch.manual_seed(0)
    shapes = ((length, 2, heads, 5), (length, 2, groups, 5), (length, 2, groups, 5))
    ours = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    theirs = [tensor.detach().clone().requires_grad_() for tensor in ours]
    found, expected = core("causal")(*ours, None), naive(*theirs)
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(expected)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad)
