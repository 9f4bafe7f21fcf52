"""xPos: rotary positions whose products also fade with distance, each channel pair at its own rate (arXiv:2212.10554).

Pair i, channels 2i and 2i + 1, is turned by m · base^(−2i/d) at position m; queries are multiplied by ζᵢ^((m − c)/B), keys by
ζᵢ^(−(m − c)/B), where ζᵢ = (2i/d + γ) / (1 + γ), γ = 0.4. What pair i gives to the score of query m and key n is so multiplied by
ζᵢ^((m − n)/B), whatever the centre c. B is `--xpos-scale-base`, base `--rotary-base`. `--position-embedding-type xpos`

The centre is the middle of the model's positions, so that both factors stay as near to 1 as they can: position 0 and the last one
have the extreme factors, and `position_flags.py` refuses more positions than their number's type bears. Keys can thus be kept as
they are (models/cache.py), and attention is a plain one.
"""

from __future__ import annotations

import math

import torch

from megatron_ext.models.position_flags import XPOS_GAMMA


def gpt_arguments(flags) -> dict:
    return {"position_embedding_type": "none"}  # megatron-core has no such rotation


class Rotation:
    """Positions of tokens, any, `[b, s]` → `[s, b, 1, d]`, fp32: each pair's angle, then the exponent of its factor, base 2."""

    def __init__(self, config):
        pairs = torch.arange(0, config.kv_channels, 2, dtype=torch.float64) / config.kv_channels
        here = torch.cuda.current_device()
        self._frequencies = (config.xpos_rotary_base**-pairs).to(here)
        self._rates = (((pairs + XPOS_GAMMA) / (1 + XPOS_GAMMA)).log2() / config.xpos_scale_base).to(here)
        self._centre = config.max_positions // 2

    def __call__(self, positions: torch.Tensor) -> torch.Tensor:
        place = positions.T[:, :, None, None]
        angle = place * self._frequencies % math.tau  # in fp64: an angle of 50,000 radians has an error of 0.002 in fp32
        return torch.cat([angle, (place - self._centre) * self._rates], dim=-1).float()


def rotate(x: torch.Tensor, rotation: torch.Tensor, key: bool) -> torch.Tensor:
    """Queries or keys `[s, b, heads, d]`, turned and scaled by a `Rotation`'s `[s, b or 1, 1, d]`."""
    angle, exponent = rotation.chunk(2, dim=-1)
    scale = torch.exp2(-exponent if key else exponent)
    cos, sin = (angle.cos() * scale).to(x.dtype), (angle.sin() * scale).to(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, odd * cos + even * sin], dim=-1).flatten(-2)
