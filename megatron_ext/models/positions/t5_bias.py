"""T5's relative positions: a learned number for each head and each bucket of distances, added to scores (arXiv:1910.10683).

    bucket(n) = n                                                        for n < N/2, n tokens back
              = N/2 + ⌊log(n / (N/2)) / log(M / (N/2)) · N/2⌋, at most N − 1    beyond

A key after its query counts as 0 tokens back. All layers have one table `[N, heads]`, N = `--relative-attention-num-buckets`,
M = `--relative-attention-max-distance`, cut along heads by tensor parallelism; each pipeline stage has a copy, and the copies'
gradients are summed. T5 itself leaves scores undivided: `--softmax-scale 1`. `--position-embedding-type t5_bias`
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from megatron.core import tensor_parallel


def gpt_arguments(flags) -> dict:
    return {"position_embedding_type": "none"}


def buckets(distance: torch.Tensor, count: int, farthest: int) -> torch.Tensor:
    """Whole numbers, how many tokens a key lies before its query → buckets, the same shape."""
    distance, exact = distance.clamp(min=0), count // 2
    beyond = torch.log(distance.clamp(min=1).float() / exact) / math.log(farthest / exact) * (count - exact)
    return torch.where(distance < exact, distance, (exact + beyond.long()).clamp(max=count - 1))


class Bias(torch.nn.Module):
    """The table of this process's heads; gives for a pass what is added to their scores.

    Args:
        first, heads: of all heads, those that are here.
    """

    def __init__(self, config, first: int, heads: int):
        super().__init__()
        self._count, self._farthest = config.relative_buckets, config.relative_max_distance
        table = torch.empty(self._count, heads, dtype=config.params_dtype, device=torch.cuda.current_device())
        self.weight = torch.nn.Parameter(table)
        tensor_parallel.set_tensor_model_parallel_attributes(self.weight, is_parallel=True, dim=1, stride=1)

    def forward(self) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        table = self.weight.float()  # once a layer, so that what its blocks give to the gradient is added up in fp32

        def added(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
            return F.embedding(buckets(query - key, self._count, self._farthest), table).movedim(-1, -3)

        return added
