"""Sine and cosine of the position at falling frequencies, added to the token's vector; no parameters (arXiv:1706.03762).

    PE(m, 2i) = sin(m · 10000^(−2i/h)),  PE(m, 2i + 1) = cos(m · 10000^(−2i/h))

`--position-embedding-type sinusoidal`
"""

from __future__ import annotations

import torch


def gpt_arguments(flags) -> dict:
    return {"position_embedding_type": "learned_absolute"}  # added in the same place


class Embedding(torch.nn.Module):
    """Positions `[b, s]` → `[b, s, h]`."""

    def __init__(self, config):
        super().__init__()
        exponent = torch.arange(0, config.hidden_size, 2, dtype=torch.float64) / config.hidden_size
        self._frequencies = (10000.0**-exponent).to(torch.cuda.current_device())
        self._width, self._type = config.hidden_size, config.params_dtype

    def forward(self, positions: torch.Tensor) -> torch.Tensor:
        angles = positions[..., None] * self._frequencies
        return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)[..., : self._width].to(self._type)
