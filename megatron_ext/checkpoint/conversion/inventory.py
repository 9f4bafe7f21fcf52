"""All that a model learns, by global name and shape, without its numbers."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable

import torch
from torch.overrides import TorchFunctionMode

from megatron_ext.backend.placement import Placement, learned_otherwise, placements
from megatron_ext.models import gpt


class _WithoutMemory(TorchFunctionMode):
    """Whatever device a tensor is made for, it gets shape and type alone."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if "device" in kwargs:
            kwargs["device"] = "meta"
        return function(*args, **kwargs)


def of_model(flags, core) -> list[Placement]:
    """Of the model of these flags on one process, built on the meta device; megatron-core's groups must be up.

    Args:
        flags: the model group of the configuration.
        core: megatron-core's configuration.
    """
    with torch.device("meta"), _WithoutMemory():
        (model,) = gpt.build(flags, core, seed=None)
    return _owned(place for place, _ in itertools.chain(placements(model), learned_otherwise(model)))


def of_pieces(pieces: Iterable) -> list[Placement]:
    """Of the model that all processes of a run hold together, from each one's pieces of the sharded state. Collective."""
    return of_everybody(piece.place for piece in pieces)


def of_everybody(places: Iterable[Placement]) -> list[Placement]:
    """The same from what each process has. Collective."""
    found: list = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(found, _owned(places))
    everybodys = {place.name: place for places in found for place in places}
    return sorted(everybodys.values(), key=lambda place: [int(word) if word.isdigit() else -1 for word in place.name.split(".")])


def _owned(places: Iterable[Placement]) -> list[Placement]:
    """Each parameter once, and whole."""
    whole = (
        dataclasses.replace(place, start=(0,) * len(place.shape), local=place.shape, split=None)
        for place in places
        if not place.copy
    )
    return list({place.name: place for place in whole}.values())
