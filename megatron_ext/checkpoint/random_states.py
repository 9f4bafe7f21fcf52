"""The states of this process's random-number generators, as plain tensors: dropout goes on where it stopped."""

from __future__ import annotations

import torch
from megatron.core import tensor_parallel


def random_states() -> dict:
    """torch's generator, the GPU's if there is one, and megatron-core's per-region ones."""
    states = {"torch": torch.get_rng_state(), "regions": dict(tensor_parallel.get_cuda_rng_tracker().get_states())}
    if torch.distributed.get_backend() == "nccl":
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def set_random_states(states: dict) -> None:
    torch.set_rng_state(states["torch"])
    tensor_parallel.get_cuda_rng_tracker().set_states(states["regions"])
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])
