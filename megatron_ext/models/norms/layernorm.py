"""LayerNorm: (x − mean) / √(var + ε) · g + b (arXiv:1607.06450). `--normalization layernorm`"""

from __future__ import annotations

import torch

MEGATRON_NAME = "LayerNorm"


class Norm(torch.nn.LayerNorm):
    """torch's LayerNorm with megatron-core's signature; works under sequence parallelism (see rmsnorm.py)."""

    def __init__(self, config, hidden_size: int, eps: float = 1e-5):
        super().__init__(hidden_size, eps=eps, dtype=config.params_dtype, device=torch.cuda.current_device())
        self.weight.sequence_parallel = config.sequence_parallel
        self.bias.sequence_parallel = config.sequence_parallel
