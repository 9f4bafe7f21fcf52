"""Stage 0: every data-parallel process holds all weights, gradients and moments; gradients are all-reduced."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from megatron.core.optimizer.optimizer import Float16OptimizerWithFloat16Params

from megatron_ext.backend.placement import Placement
from megatron_ext.optim.sharding.contract import Piece, Sharding, flat_tensors


class Stage(Sharding):
    distributed_optimizer = False

    def _pieces_of(self, place: Placement, parameter: torch.nn.Parameter) -> Iterator[Piece]:
        main = getattr(parameter, "main_param", parameter)
        for part in self._parts():
            if main in part.optimizer.state:
                yield Piece(place, 0, parameter.numel(), flat_tensors(main, part.optimizer.state[main]))

    def _weights_from_state(self, part) -> None:
        if isinstance(part, Float16OptimizerWithFloat16Params):
            part._copy_main_params_to_model_params()
