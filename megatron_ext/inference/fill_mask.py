"""What stands behind each [MASK] of a text, by an encoder: the likeliest tokens with their probabilities. `--fill-mask TEXT …`

A text goes through the model once, all its masks together: each is a guess that knows nothing of the others (BERT,
arXiv:1810.04805). As many tokens as `--num-samples`, five by default.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from megatron.core import parallel_state

from megatron_ext.arguments.problems import UserError, option
from megatron_ext.inference.flags import GenerationFlags
from megatron_ext.inference.generate import gathered
from megatron_ext.inference.prompts import Request
from megatron_ext.inference.stages import is_last_stage, logits, share, together
from megatron_ext.models.encoder import NO_SENTENCE

SHOWN = 5
_OF_GROWTH = ("max_new_tokens", "temperature", "top_k", "top_p", "repetition_penalty", "stop", "ignore_eod")


@dataclasses.dataclass
class Filled:
    """Attributes: masks: of each mask of the request, `(id, probability)`, the likeliest first."""

    request: Request
    masks: list[list[tuple[int, float]]]


def refuse_growth(flags) -> None:
    """UserError names a flag that was given and says how texts grow: here none does."""
    for name in _OF_GROWTH:
        if getattr(flags, name) != GenerationFlags.__dataclass_fields__[name].default:
            raise UserError(f"{option(name)}: has no effect on an encoder, whose texts do not grow; leave it out")


@torch.no_grad()
def fill(trained, requests: Sequence[Request], mask: int, count: int, batch_size: int) -> Iterator[Filled]:
    """All requests in their order, on rank 0; the others see their own share.

    Args:
        trained: `model` and `device` of an open run.
        mask: the id of [MASK].
        count: tokens for each.
    """
    count = min(count, trained.model.config.vocab_size)
    batches = [requests[first : first + batch_size] for first in range(0, len(requests), batch_size)]
    groups, mine = parallel_state.get_data_parallel_world_size(), parallel_state.get_data_parallel_rank()
    for first in range(0, len(batches), groups):
        done = _filled(trained, batches[first + mine], mask, count) if first + mine < len(batches) else []
        yield from done
        if groups > 1:
            yield from gathered(done, mine)


def _filled(trained, requests: Sequence[Request], mask: int, count: int) -> list[Filled]:
    batch = _batch([request.ids for request in requests], trained.device)
    asked = batch["input_ids"] == mask
    total = int(asked.sum())
    found = torch.zeros(2, total, count, dtype=torch.float64, device=trained.device)  # ids are exact in it
    words = logits(trained.model, batch)
    if is_last_stage():
        found = torch.stack([part.double() for part in words[asked].softmax(-1).topk(count)][::-1])
    ids, shares = share(found).tolist()
    if not torch.isfinite(found).all():
        raise UserError("the model's logits are not finite; its weights are damaged", shared=True)
    rows = iter([list(zip(map(int, row), likely)) for row, likely in zip(ids, shares)])
    return [Filled(request, [next(rows) for _ in range(count)]) for request, count in zip(requests, asked.sum(1).tolist())]


def _batch(texts: Sequence[Sequence[int]], device: torch.device) -> dict[str, torch.Tensor]:
    """Texts as an encoder's batch, in which nothing has a label."""
    names = ("documents", "labels", "token_types")
    samples = [
        {
            "input_ids": np.array(text),
            "position_ids": np.arange(len(text)),
            **{name: np.zeros(len(text), np.int64) for name in names},
            "loss_mask": np.zeros(len(text), np.float32),
            "sentence_labels": np.full(len(text), NO_SENTENCE),
        }
        for text in texts
    ]
    return together(samples, device)
