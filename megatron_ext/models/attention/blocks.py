"""Attention in blocks of queries, for whatever is not plain causal: a window, documents, a bias, a cap on the scores.

A block of 128 queries looks only at the keys that its pattern can reach, so a window or packed documents cost what they show
and not s². A block's mask (with its bias) is 128 × keys, and backward makes it again in place of keeping it: memory grows
linearly in s. What kernels of scaled_dot_product_attention can do without scores in memory is left to them; a cap needs the
scores, and so do dropout on the CPU and the gradient of a bias that is learnt: these too are made again, block by block.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint

from megatron_ext.models.attention.saved import Again, made_again

QUERIES = 128


class Block(NamedTuple):
    """`queries` may look at nothing but `keys`; `mask()` gives what scores get added, `[b or 1, heads or 1, q, k]`, or None."""

    queries: slice
    keys: slice
    mask: Callable[[], torch.Tensor | None]


def blocks(tokens, pattern, limits, bias: Callable | None) -> Iterator[Block]:
    """Cut the queries of a forward pass.

    Args:
        pattern: a module of `patterns/`.
        bias: `bias(query, key)` gives what a position adds to scores, `[heads, q, k]`, from indices `[q, 1]` and `[1, k]` (or
            `[b, heads, q, k]` from `[b, q, 1]`).
    """
    begin = 0
    for run in tokens.runs:
        for first in range(begin, begin + run, QUERIES):
            queries = slice(first, min(first + QUERIES, begin + run))
            keys = _reach(tokens, queries, pattern, limits)
            yield Block(queries, keys, _mask_of(tokens, queries, keys, pattern, limits, bias))
        begin += run


def _reach(tokens, queries: slice, pattern, limits) -> slice:
    index = tokens.queries[..., queries]
    if index.dim() > 1:  # rows differ, as while texts are generated: few queries
        first, last = int(index.min()), int(index.max())
    else:
        first, last = int(index[0]), int(index[-1])
    begin, end = pattern.reach(first, last, tokens.keys, limits, tokens.prefix)
    if tokens.documents is not None:  # documents lie one after another, but for padding, whose number is the lowest
        own = tokens.of_queries[:, queries]
        seen = (tokens.documents >= own.amin(1, keepdim=True)) & (tokens.documents <= own.amax(1, keepdim=True))
        seen = seen.any(0).nonzero()
        if len(seen):
            begin, end = max(begin, int(seen[0])), min(end, int(seen[-1]) + 1)
    return slice(begin, end)


def _mask_of(tokens, queries: slice, keys: slice, pattern, limits, bias) -> Callable[[], torch.Tensor | None]:
    def mask() -> torch.Tensor | None:
        query = tokens.queries[..., queries, None]
        key = torch.arange(keys.start, keys.stop, device=query.device)[None]
        prefix = None if tokens.prefix is None else tokens.prefix[:, None, keys]
        visible = pattern.visible(query, key, limits, prefix)
        if tokens.documents is not None:
            visible = visible & (tokens.of_queries[:, queries, None] == tokens.documents[:, None, keys])
            if tokens.blind is not None:  # all is shown to them, and nothing taken from it (core.py)
                visible = visible | tokens.blind[:, queries, None]
        visible = visible.expand(1, *visible.shape) if visible.dim() == 2 else visible
        if bias is None:
            return None if bool(visible.all()) else _hidden(visible)[:, None]
        added = bias(query, key)
        added = added[None] if added.dim() == 3 else added
        return added if bool(visible.all()) else added.masked_fill(~visible[:, None], -math.inf)

    return mask


def _hidden(visible: torch.Tensor) -> torch.Tensor:
    return torch.zeros(visible.shape, device=visible.device).masked_fill_(~visible, -math.inf)


def attend(query, key, value, block: Block, scale: float | None, dropout: float, again: tuple[Again, ...] = ()) -> torch.Tensor:
    """`[b, heads, q, d]` by torch's kernels; the mask, and what `again` holds, are not kept for backward."""
    mask = _mask_for(query, block)
    again = again if mask is None else (*again, Again(mask, lambda: _mask_for(query, block)))
    with made_again(*again):
        return _by_kernel(query, key, value, mask, scale, dropout)


def _by_kernel(query, key, value, mask: torch.Tensor | None, scale: float | None, dropout: float) -> torch.Tensor:
    settings, grouped = dict(attn_mask=mask, dropout_p=dropout, scale=scale), query.shape[1] != key.shape[1]
    if grouped and query.shape[2] == 1 and (mask is None or mask.shape[1] == 1):
        # One query, as while texts grow: a group's heads become queries of its one head of keys, which torch then reads once.
        share = query.reshape(len(query), key.shape[1], -1, query.shape[-1])
        return F.scaled_dot_product_attention(share, key, value, **settings).reshape(*query.shape[:3], value.shape[-1])
    return F.scaled_dot_product_attention(query, key, value, **settings, enable_gqa=grouped)


def _mask_for(query, block: Block) -> torch.Tensor | None:
    """fp32 where kernels can: 16 bits are coarse. CUDA's refuse it, and beside fp64 torch 2.13 misreads it in silence."""
    mask = block.mask()
    return mask.to(query.dtype) if mask is not None and (query.is_cuda or query.dtype == torch.float64) else mask


def attend_again(
    query, key, value, block: Block, scale: float | None, dropout: float, kernel: SDPBackend | None, again: tuple[Again, ...] = ()
) -> torch.Tensor:
    """The same where torch's kernels keep the scores (with dropout, on the CPU; for a mask's gradient): backward makes all again.

    Args:
        kernel: the one that forward runs under, so that backward does.
    """

    def masked(query, key, value):
        with contextlib.nullcontext() if kernel is None else sdpa_kernel(kernel):
            return _by_kernel(query, key, value, _mask_for(query, block), scale, dropout)

    if not torch.is_grad_enabled():
        return masked(query, key, value)
    with made_again(*again):
        return checkpoint(masked, query, key, value, use_reentrant=False, preserve_rng_state=dropout > 0.0)


def attend_by_scores(
    query, key, value, block: Block, scale: float | None, dropout: float, cap: float, again: tuple[Again, ...] = ()
) -> torch.Tensor:
    """The same with the scores written out, capped to cap · tanh(score / cap) (arXiv:2408.00118); backward makes them again."""

    def scored(query, key, value):
        groups = key.shape[1]
        grouped = query.unflatten(1, (groups, -1))
        scores = grouped @ key[:, :, None].mT * (query.shape[-1] ** -0.5 if scale is None else scale)
        scores = cap * torch.tanh(scores.float() / cap)
        mask = block.mask()
        if mask is not None:
            scores = scores + (mask.unflatten(1, (groups, -1)) if mask.shape[1] > 1 else mask[:, :, None])
        share = F.dropout(scores.softmax(-1).to(value.dtype), dropout)
        return (share @ value[:, :, None]).flatten(1, 2)

    if not torch.is_grad_enabled():
        return scored(query, key, value)
    with made_again(*again):
        return checkpoint(scored, query, key, value, use_reentrant=False, preserve_rng_state=dropout > 0.0)
