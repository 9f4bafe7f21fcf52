"""RMSNorm: x / √(mean(x²) + ε) · g, without centring and without bias (arXiv:1910.07467). `--normalization rmsnorm`

With `--apply-layernorm-1p` the weight is g − 1, zero at the start: in 16 bits numbers near 0 lie closer together than near 1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

MEGATRON_NAME = "RMSNorm"


class Norm(torch.nn.RMSNorm):
    """torch's RMSNorm with megatron-core's signature; works under sequence parallelism.

    Under sequence parallelism each process sees a slice of the sequence, so the weight's gradient has to be summed over
    the tensor-parallel group: the mark on the parameter asks megatron-core for it.
    """

    def __init__(self, config, hidden_size: int, eps: float = 1e-5):
        super().__init__(hidden_size, eps=eps, dtype=config.params_dtype, device=torch.cuda.current_device())
        self.zero_centred = config.layernorm_zero_centered_gamma
        self.weight.sequence_parallel = config.sequence_parallel

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.zero_centred:
            return super().forward(x)
        normed = F.rms_norm(x, self.normalized_shape, None, self.eps)
        return torch.addcmul(normed, normed, self.weight)
