"""LayerNorm: (x − mean) / √(var + ε) · g + b (arXiv:1607.06450). `--normalization layernorm`

With `--apply-layernorm-1p` the weight is g − 1 (see rmsnorm.py).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

MEGATRON_NAME = "LayerNorm"


class Norm(torch.nn.LayerNorm):
    """torch's LayerNorm with megatron-core's signature; works under sequence parallelism (see rmsnorm.py)."""

    def __init__(self, config, hidden_size: int, eps: float = 1e-5):
        super().__init__(
            hidden_size, eps=eps, bias=config.norm_bias, dtype=config.params_dtype, device=torch.cuda.current_device()
        )
        self.zero_centred = config.layernorm_zero_centered_gamma
        self.weight.sequence_parallel = config.sequence_parallel
        if config.norm_bias:
            self.bias.sequence_parallel = config.sequence_parallel

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.zero_centred:
            return super().forward(x)
        normed = F.layer_norm(x, self.normalized_shape, None, None, self.eps)
        return torch.addcmul(normed if self.bias is None else normed + self.bias, normed, self.weight)
