"""What a model saw while training besides its loss, as sums that wait on its device until somebody asks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from megatron.core import parallel_state

# Figure of a record: what it is the sum of, and what that is divided by.
FIGURES = {
    "z_loss": ("penalties", "labels"),
    "words_loss": ("words", "targets"),
    "sentence_loss": ("sentences", "targets"),
    "sentence_accuracy": ("right", "asked"),
}
_NAMES = sorted({name for parts in FIGURES.values() for name in parts})


class Sums:
    """By name."""

    def __init__(self):
        self._found: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def add(self, **further: torch.Tensor) -> None:
        """Tensors of any shape, all of whose entries count."""
        for name, values in further.items():
            self._found[name] = self._found.get(name, 0) + values.double().sum()

    def take(self) -> dict[str, torch.Tensor]:
        """What was added since last asked."""
        found, self._found = self._found, {}
        return found


def figures(chunks: Sequence[torch.nn.Module], config, device: torch.device) -> dict[str, float]:
    """Those of `FIGURES` that these models saw since last asked. Collective where there can be any."""
    if config.z_loss_coeff is None and not config.binary_head:
        return {}
    total = torch.zeros(len(_NAMES), dtype=torch.float64, device=device)
    for module in [module for chunk in chunks for module in chunk.modules() if isinstance(getattr(module, "sums", None), Sums)]:
        for name, value in module.sums.take().items():
            total[_NAMES.index(name)] += value
    torch.distributed.all_reduce(total, group=parallel_state.get_data_parallel_group(with_context_parallel=True))
    torch.distributed.all_reduce(total, group=parallel_state.get_pipeline_model_parallel_group())
    sums = dict(zip(_NAMES, total.tolist(), strict=True))
    return {name: sums[part] / sums[whole] for name, (part, whole) in FIGURES.items() if sums[whole]}
