"""A trained model's weights from a run's folder, whole on one process or spread, whatever layout it was trained on."""

from __future__ import annotations

import itertools
import pathlib

import torch

from megatron_ext.arguments.problems import UserError
from megatron_ext.backend.distributed import all_or_none
from megatron_ext.backend.placement import Placement, learned_otherwise, placements
from megatron_ext.checkpoint.conversion import inventory
from megatron_ext.checkpoint.conversion.source import HuggingFaceSource
from megatron_ext.checkpoint.restore import WEIGHT_NAMES, open_source
from megatron_ext.checkpoint.source import Source, Wanted
from megatron_ext.checkpoint.verification import verify


@torch.no_grad()
def load_weights(model: torch.nn.Module, path: pathlib.Path) -> None:
    """Verify a checkpoint and fill a model, or a part of one, with its weights. Every process calls it."""
    problem = verify(path)
    if problem is not None:
        raise UserError(problem, shared=True)
    wanted = [
        Wanted(place, 0, tensor.numel(), WEIGHT_NAMES, tensor.data.view(-1))
        for place, tensor in itertools.chain(placements(model), learned_otherwise(model))
    ]
    places = inventory.of_everybody(want.place for want in wanted)
    all_or_none(lambda: _read(open_source(path, model.config), wanted, places), f"loading {path}")


def _read(source: Source | HuggingFaceSource, wanted: list[Wanted], places: list[Placement]) -> None:
    if isinstance(source, HuggingFaceSource):
        source.refuse_strangers(places)
    source.read(wanted)
