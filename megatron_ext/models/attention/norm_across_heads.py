"""A norm on queries or keys over all heads' channels together, not head by head (OLMo 2, arXiv:2501.00656, section 3.2).

    RMSNorm: q / √(mean(q²) + ε) · g, the mean over heads · d channels; LayerNorm likewise, with mean, variance and bias

Heads are spread over tensor-parallel processes, and so are g and the bias: only a number a token is summed over the processes.
`--qk-layernorm --qk-layernorm-across-heads`
"""

from __future__ import annotations

import torch
from megatron.core import tensor_parallel


class NormAcrossHeads(torch.nn.Module):
    """`[s, b, this process's heads, d]` → the same; computed in fp32.

    Args:
        hidden_size: width of a head, d.
        heads: of all processes.
    """

    def __init__(self, config, hidden_size: int, eps: float, heads: int):
        super().__init__()
        self.eps, self.channels = eps, heads * hidden_size
        self.centred, self.zero_centred = config.norm == "layernorm", config.layernorm_zero_centered_gamma
        own = self.channels // config.tensor_model_parallel_size
        like = dict(dtype=config.params_dtype, device=torch.cuda.current_device())
        self.weight = torch.nn.Parameter((torch.zeros if self.zero_centred else torch.ones)(own, **like))
        self.bias = torch.nn.Parameter(torch.zeros(own, **like)) if self.centred and config.norm_bias else None
        for parameter in self.parameters():
            tensor_parallel.set_tensor_model_parallel_attributes(parameter, is_parallel=True, dim=0, stride=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        channels = x.flatten(-2).float()
        if self.centred:
            channels = channels - self._mean(channels)
        normed = channels * torch.rsqrt(self._mean(channels * channels) + self.eps) * (self.weight.float() + self.zero_centred)
        normed = normed if self.bias is None else normed + self.bias.float()
        return normed.to(x.dtype).view_as(x)

    def _mean(self, channels: torch.Tensor) -> torch.Tensor:
        """`[s, b, 1]`. Every process goes on from the sum, so backward sums what all of them make of it."""
        total = tensor_parallel.reduce_from_tensor_model_parallel_region(channels.sum(-1, keepdim=True))
        return tensor_parallel.copy_to_tensor_model_parallel_region(total) / self.channels
