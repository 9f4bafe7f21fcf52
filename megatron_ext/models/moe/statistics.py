"""What routers saw while training: who got how many tokens, how many were left out, how undecided they were.

Each router adds to a few numbers on its own device, without waiting for them; they are put together when somebody asks, by one
all-reduce for all layers.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from megatron.core import parallel_state

_BESIDE_LOADS = 4  # tokens, choices that were left out, entropy, losses


class Seen:
    """Sums over the tokens of one router since `take`: choices by expert, tokens, choices left out, entropies in nats, losses."""

    def __init__(self, experts: int):
        self.experts = experts
        self.sums: torch.Tensor | None = None

    @torch.no_grad()
    def add(self, logits: torch.Tensor, chosen: torch.Tensor, kept: torch.Tensor, score_function: str, loss) -> None:
        """logits, chosen, kept: `[tokens, experts]`; chosen is where tokens wanted to go, kept where they went; loss or None."""
        scores = torch.sigmoid(logits) if score_function == "sigmoid" else torch.softmax(logits, dim=-1)
        shares = scores / scores.sum(dim=-1, keepdim=True)
        entropy = torch.special.entr(shares).sum()
        loads = chosen.sum(dim=0)
        left_out = 0 if kept is chosen else loads.sum() - kept.sum()
        beside = (len(logits), left_out, entropy, 0 if loss is None else loss.detach())
        found = torch.cat(
            [loads.double(), torch.stack([torch.as_tensor(value, device=loads.device).double() for value in beside])]
        )
        self.sums = found if self.sums is None else self.sums + found

    def take(self) -> torch.Tensor:
        """The sums `[experts + 4]`, which begin anew."""
        found, self.sums = self.sums, None
        return torch.zeros(self.experts + _BESIDE_LOADS, dtype=torch.float64) if found is None else found


@dataclasses.dataclass(frozen=True)
class Routing:
    """A stretch of updates.

    Attributes:
        expert_load: by layer (counted from 0), choices that fell on each expert over their mean: 1 is balanced.
        expert_load_max, expert_load_min: of the layer where they are furthest off.
        dropped_share: of the choices, those that went over an expert's capacity.
        router_entropy: of a token's scores, mean over tokens and layers, over log(experts): 1 is undecided, 0 certain.
        router_loss: what balance and z-loss add to the loss, in all layers together.
    """

    expert_load: dict[str, list[float]]
    expert_load_max: float
    expert_load_min: float
    dropped_share: float
    router_entropy: float
    router_loss: float


@torch.no_grad()
def routing(chunks: Sequence[torch.nn.Module], config, device: torch.device) -> dict:
    """`Routing`'s fields, of all processes and layers since it was last asked; none without experts or tokens. Collective."""
    if config.num_moe_experts is None:
        return {}
    layers = config.num_layers + (config.mtp_num_layers or 0)
    sums = torch.zeros(layers, config.num_moe_experts + _BESIDE_LOADS, dtype=torch.float64, device=device)
    for chunk in chunks:
        for module in chunk.modules():
            if isinstance(getattr(module, "seen", None), Seen):
                sums[module.layer_number - 1] += module.seen.take().to(device)
    # Processes that share sequences see parts of them; without sequence parallelism all tensor-parallel ones see the same.
    group = parallel_state.get_tensor_and_data_parallel_group(with_context_parallel=True)
    torch.distributed.all_reduce(sums, group=group)
    torch.distributed.all_reduce(sums, group=parallel_state.get_pipeline_model_parallel_group())
    found = _summary(sums.cpu(), config.num_moe_experts)
    return {} if found is None else dataclasses.asdict(found)


def _summary(sums: torch.Tensor, experts: int) -> Routing | None:
    """sums: `[layers, experts + 4]`, zeros for dense layers."""
    there = sums[:, experts] > 0
    if not there.any():
        return None
    loads = sums[there, :experts]
    loads = loads / loads.mean(dim=1, keepdim=True)
    tokens, left_out, entropy, loss = sums[there, experts:].sum(dim=0).tolist()
    choices = sums[there, :experts].sum().item()
    return Routing(
        expert_load={
            str(layer): [round(load, 4) for load in row.tolist()]
            for layer, row in zip(there.nonzero().flatten().tolist(), loads, strict=True)
        },
        expert_load_max=loads.max().item(),
        expert_load_min=loads.min().item(),
        dropped_share=left_out / choices,
        router_entropy=entropy / tokens / math.log(experts),
        router_loss=loss / tokens * len(loads),
    )
