"""The core attention against scores written out, with grouped queries, forward and backward."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from megatron_ext.models.attention.core import CoreAttention


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
    config = SimpleNamespace(attention_dropout=0.0)
    core = CoreAttention.__new__(CoreAttention)
    torch.nn.Module.__init__(core)
    core.config, core.dropout, core.softmax_scale = config, 0.0, None
    shapes = ((length, 2, heads, 5), (length, 2, groups, 5), (length, 2, groups, 5))
    ours = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    theirs = [tensor.detach().clone().requires_grad_() for tensor in ours]
    found, expected = core(*ours, None), naive(*theirs)
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(expected)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize("heads", [4, 8])
def test_a_mask_says_who_looks_where(heads):
    """Queries of the last tokens of a longer text see what the whole text's do; what a row hides does not matter."""
    torch.manual_seed(0)
    core = CoreAttention.__new__(CoreAttention)
    torch.nn.Module.__init__(core)
    core.dropout, core.softmax_scale = 0.0, None
    query, key, value = (torch.randn(7, 2, count, 5, dtype=torch.float64) for count in (heads, 4, 4))
    expected = naive(query, key, value)
    visible = torch.ones(7, 7, dtype=torch.bool).tril()[4:].expand(2, 1, 3, 7).clone()
    torch.testing.assert_close(core(query[4:], key, value, visible), expected[4:])
    visible[1, :, :, 2] = False
    key[2, 1] = value[2, 1] = 1e6
    found = core(query[4:], key, value, visible)
    torch.testing.assert_close(found[:, 0], expected[4:, 0])
    kept = [0, 1, 3, 4, 5, 6]
    torch.testing.assert_close(found[:, 1], naive(query[kept], key[kept], value[kept])[3:, 1])
