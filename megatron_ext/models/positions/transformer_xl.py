"""Transformer-XL: scores know the distance of two tokens, and a segment sees a memory of those before it (arXiv:1901.02860).

    score(i, j) = ((qᵢ + u) · kⱼ + (qᵢ + v) · W_r R(i − j)) / √d        R(m) = [sin(m · ω), cos(m · ω)],  ω_c = 10000^(−2c/h)

u, v and W_r are learned, each layer its own (the paper's best models share u and v between layers; transformers' `untie_r` does
not, and pipeline stages then have nothing to share). Heads that share keys (grouped queries) have u, v and W_r of their own.

Memory. A sample is cut into segments of `--segment-length` tokens. A token sees its own segment up to itself, and the
`--memory-length` tokens before the segment's beginning: in layer n the layer's input there, through which no gradient goes back.
So what a layer reads of the memory is projected with weights that learn, and the hidden states behind it do not. Over N layers
information travels N · memory-length tokens and more. All segments go through a layer at once, with the same numbers as one
after the other. Samples are independent draws, so the first segment of a sample has no memory. Documents that are kept apart
(`--reset-attention-mask`) have segments of their own, counted from their first token. A token that is generated sees what it
would see in a sample. `--position-embedding-type transformer_xl`; the core is `models/attention/transformer_xl.py`
"""

from __future__ import annotations

import math

import torch


def gpt_arguments(flags) -> dict:
    return {"position_embedding_type": "none"}


def sinusoids(distances: torch.Tensor, width: int) -> torch.Tensor:
    """R: distances `[n]` → fp32 `[n, width]`, sines first."""
    channels = torch.arange(0, width, 2, dtype=torch.float64, device=distances.device)
    angles = distances[:, None] * 10000.0 ** (-channels / width)
    angles = angles.remainder(2 * math.pi).float()  # so that fp32, which is faster, loses nothing far away
    return torch.cat([angles.sin(), angles.cos()], dim=1)[:, :width]
