"""The states of a process's random-number generators in a checkpoint: dropout goes on where it stopped.

They are small uint8 tensors, `random.RANK.NAME`: torch's generator, the GPU's if there is one, and megatron-core's per-region
ones. They mean something only on the layout that wrote them.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from megatron.core import tensor_parallel
from megatron.core.tensor_parallel.random import convert_cuda_rng_state, is_graph_safe_cuda_rng_tracker


def random_boxes(rank: int) -> Iterator[tuple]:
    """This process's states as boxes (`writing.Box`)."""
    for name, state in _states().items():
        yield f"random.{rank}.{name}", tuple(state.shape), (0,), state.clone()


def set_random_states(source, rank: int) -> None:
    """Set this process's generators from a checkpoint (`source.Source`)."""
    prefix = f"random.{rank}."
    states = {name.removeprefix(prefix): source.tensor(name) for name in source.names() if name.startswith(prefix)}
    torch.set_rng_state(states["torch"])
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])
    regions = {name.removeprefix("region."): state for name, state in states.items() if name.startswith("region.")}
    tracker = tensor_parallel.get_cuda_rng_tracker()
    graphs = is_graph_safe_cuda_rng_tracker(tracker)
    tracker.set_states({name: convert_cuda_rng_state(state, to_graphable=graphs) for name, state in regions.items()})


def _states() -> dict[str, torch.Tensor]:
    states = {"torch": torch.get_rng_state()}
    if torch.distributed.get_backend() == "nccl":
        states["cuda"] = torch.cuda.get_rng_state()
    for name, state in tensor_parallel.get_cuda_rng_tracker().get_states().items():
        states[f"region.{name}"] = convert_cuda_rng_state(state)  # CUDA graphs keep generators, not their states
    return states
