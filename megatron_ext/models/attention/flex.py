"""FlexAttention: a kernel made for a mask and for what is done to the scores (arXiv:2412.05496), on CUDA.

Mask and scores are functions of indices here already, so torch compiles them into its kernel: nothing of S×S is held, forward
or backward, and blocks of 128 × 128 that no query sees are not computed. Which blocks those are is found once for all layers of a
pattern, and without documents once for all passes. `--attention-backend auto` takes it where backend.py says, `flex` always.

It equals blocks.py, which has what this has not: dropout, learned biases, rows whose queries differ, and a backward on the CPU.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention


def attend(query, key, value, tokens, pattern, limits, bias: Callable | None, cap: float | None, scale: float | None):
    """query `[b, heads, q, d]`, key and value `[b, groups, k, d]` → `[b, heads, q, d]`.

    Args:
        tokens: where they lie; queries `[q]`, the same in all rows.
        pattern: a module of `patterns/`.
        bias: what a position adds, as blocks.py takes it, fixed and linear in the distance between query and key (ALiBi).
        cap: scores s become cap · tanh(s / cap), before the bias is added (arXiv:2408.00118).
    """
    made = (pattern, limits)
    if made not in tokens.block_masks:
        tokens.block_masks[made] = _block_mask(tokens, pattern, limits)
    kernel = _compiled(flex_attention) if query.is_cuda else flex_attention
    return kernel(
        query,
        key,
        value,
        score_mod=_scores(tokens.queries, bias, cap),
        block_mask=tokens.block_masks[made],
        scale=scale,
        enable_gqa=query.shape[1] != key.shape[1],
    )


@functools.cache
def _compiled(function: Callable) -> Callable:
    return torch.compile(function)  # uncompiled, scores (or the mask) are held whole


def _block_mask(tokens, pattern, limits) -> BlockMask:
    index, documents, own, prefix, visible = tokens.queries, tokens.documents, tokens.of_queries, tokens.prefix, pattern.visible

    def alone(b, h, q, k):
        return visible(index[q], k, limits, None if prefix is None else prefix[b, k])

    def apart(b, h, q, k):
        return alone(b, h, q, k) & (own[b, q] == documents[b, k])

    make = _compiled(create_block_mask) if index.is_cuda else create_block_mask
    mask, by_row = (alone, prefix) if documents is None else (apart, documents)
    rows = None if by_row is None else len(by_row)
    return make(mask, rows, None, len(index), tokens.keys, device=index.device)


def _scores(index: torch.Tensor, bias: Callable | None, cap: float | None) -> Callable | None:
    """What becomes of a score (query times key times scale); None for nothing."""
    slope = None if bias is None else bias(index.new_ones(1, 1), index.new_zeros(1, 1))[:, 0, 0]  # at distance 1, by head

    def capped(score, b, h, q, k):
        return cap * torch.tanh(score / cap)

    def biased(score, b, h, q, k):
        return score + slope[h] * (index[q] - k).abs()

    def both(score, b, h, q, k):
        return biased(capped(score, b, h, q, k), b, h, q, k)

    return {(False, False): None, (True, False): biased, (False, True): capped, (True, True): both}[bias is not None, bool(cap)]
