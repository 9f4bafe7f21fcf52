"""T5's relative positions: a learned number for each head and each bucket of distances, added to scores (arXiv:1910.10683).

    bucket(n) = n                                                        for n < N/2, n tokens back
              = N/2 + ⌊log(n / (N/2)) / log(M / (N/2)) · N/2⌋, at most N − 1    beyond

A key after its query counts as 0 tokens back; in an encoder, half of the buckets are for such keys. All layers have one table
`[N, heads]`, N = `--relative-attention-num-buckets`, M = `--relative-attention-max-distance`, an encoder and a decoder one each,
`[2, N, heads]`, cut along heads by tensor parallelism; each pipeline stage has a copy, and the copies' gradients are summed. With
`--relative-attention-bias-per-layer` each layer has its own (UMT5, arXiv:2304.09151). T5 itself leaves scores undivided:
`--softmax-scale 1`. `--position-embedding-type t5_bias`
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


def buckets_both_ways(distance: torch.Tensor, count: int, farthest: int) -> torch.Tensor:
    """The same where a key may lie after its query, in the upper half of the buckets."""
    half = count // 2
    return buckets(distance.abs(), half, farthest) + half * (distance < 0)


class Bias(torch.nn.Module):
    """The table of this process's heads; gives for a pass what is added to their scores.

    Args:
        first, heads: of all heads, those that are here.
        encoder: whether this is an encoder's layer.
    """

    def __init__(self, config, first: int, heads: int, encoder: bool = False):
        super().__init__()
        self._count, self._farthest = config.relative_buckets, config.relative_max_distance
        self._buckets = buckets_both_ways if encoder else buckets
        several = (2,) if config.encoder_layers and not config.relative_bias_per_layer else ()
        self._table = (0 if encoder else 1,) if several else ()
        table = torch.empty(*several, self._count, heads, dtype=config.params_dtype, device=torch.cuda.current_device())
        self.weight = torch.nn.Parameter(table)
        tensor_parallel.set_tensor_model_parallel_attributes(self.weight, is_parallel=True, dim=table.dim() - 1, stride=1)

    def forward(self) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        table = self.weight[self._table].float()  # once a layer, so that what its blocks give to the gradient is summed in fp32

        def added(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
            return F.embedding(self._buckets(query - key, self._count, self._farthest), table).movedim(-1, -3)

        return added
