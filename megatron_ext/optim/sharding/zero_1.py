"""Stage 1: each data-parallel process holds a share of the fp32 weights and moments (arXiv:1910.02054, P_os).

megatron-core's DistributedOptimizer: gradients are reduce-scattered, each process updates its share, weights are
all-gathered. A share is a range of the flattened gradient buckets, so it may begin in the middle of a parameter.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from megatron_ext.backend.placement import Placement
from megatron_ext.optim.sharding.contract import Piece, Sharding, flat_tensors


class Stage(Sharding):
    distributed_optimizer = True

    def _pieces_of(self, place: Placement, parameter: torch.nn.Parameter) -> Iterator[Piece]:
        for part in self._parts():
            if parameter in part.model_param_group_index_map:
                held = part._get_model_param_range_map(parameter)["param"]
                tensors = part._get_main_param_and_optimizer_states(parameter)
                yield Piece(place, held.start, held.end, flat_tensors(tensors["param"], tensors))

    def _weights_from_state(self, part) -> None:
        part._copy_main_params_to_model_params()
        for chunk in self.chunks:
            chunk.start_param_sync(force_sync=True)
