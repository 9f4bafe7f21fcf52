"""The seed gives the model, whatever the layout.

Each parameter is drawn slice by slice along the dimension that tensor parallelism cuts, each slice from
(seed, global name, slice) alone: the three are hashed to the 128-bit key of a counter-based generator (Philox). So TP2·PP2
starts from exactly the weights of one process, and no process draws more than its own part.

Matrices are normal(0, σ), those that write to the residual stream normal(0, σ/√(2·layers)) (GPT-2), in a decoder behind an
encoder, where three sublayers of a layer do, normal(0, σ/√(3·layers)); biases 0; norms 1, or 0 where 1 + weight is what they
multiply by. DeepNorm has its own (norm_placements/deepnorm.py).
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import torch

from megatron_ext.backend.placement import Placement, placements
from megatron_ext.models.norm_placements import deepnorm

_INTO_RESIDUAL = (".linear_proj.weight", ".linear_fc2.weight")


@torch.no_grad()
def initialize(model: torch.nn.Module, config, seed: int) -> None:
    """Draw every parameter of a model chunk in place. fp32 numbers are drawn and rounded to the parameter's type."""
    for place, parameter in placements(model):
        parameter.copy_(initial(place, config, seed).reshape(parameter.shape))


def initial(place: Placement, config, seed: int) -> torch.Tensor:
    """This process's block of a parameter at the start of the run, on the CPU in fp32."""
    if place.name.endswith("bias"):
        return torch.zeros(place.local)
    if "norm" in place.name.rsplit(".", 2)[-2]:
        return torch.zeros(place.local) if config.layernorm_zero_centered_gamma else torch.ones(place.local)
    if config.norm_placement == "deepnorm" and place.name.endswith(deepnorm.MATRICES):
        return draw(place, 1.0, seed) * deepnorm.stds(place, config)
    std = config.init_method_std / (math.sqrt(_additions(place.name, config)) if place.name.endswith(_INTO_RESIDUAL) else 1.0)
    return draw(place, std, seed)


def _additions(name: str, config) -> int:
    """How many sublayers add to the residual stream: two a layer, in a decoder behind an encoder three."""
    if name.startswith("encoder.") and config.encoder_layers:
        return 2 * config.encoder_layers
    return (3 if config.encoder_layers else 2) * (config.num_layers - config.encoder_layers)


def draw(place: Placement, std: float, seed: int) -> torch.Tensor:
    """This process's block of a normal(0, std) tensor, on the CPU in fp32 (the same numbers whatever the device)."""
    axis = place.split or 0
    others = tuple(extent for index, extent in enumerate(place.local) if index != axis)
    block = np.empty((place.local[axis], *others), dtype=np.float32)
    for row in range(place.local[axis]):
        slice_name = f"{seed}/{place.name}/{place.start[axis] + row}"
        key = int.from_bytes(hashlib.blake2b(slice_name.encode(), digest_size=16).digest(), "little")
        np.random.Generator(np.random.Philox(key=key)).standard_normal(out=block[row, ...], dtype=np.float32)
    block *= np.float32(std)
    return torch.from_numpy(block).movedim(0, axis)
