"""A Hugging Face folder → the checkpoint `iter_0000000` of a run, weights alone, tensor by tensor."""

from __future__ import annotations

import functools
import math
import pathlib
from collections.abc import Iterator, Sequence

from megatron_ext.backend.placement import Placement
from megatron_ext.checkpoint import manifest
from megatron_ext.checkpoint.conversion.source import HuggingFaceSource
from megatron_ext.checkpoint.regions import Experts, regions
from megatron_ext.checkpoint.writing import Box, Later, Save


def write_checkpoint(
    source: HuggingFaceSource,
    places: Sequence[Placement],
    experts: Experts | None,
    folder: pathlib.Path,
    architecture: dict,
    run_yaml: str,
) -> None:
    """Write the checkpoint into `folder`, an empty one. Weights keep the type that they have.

    Args:
        places: all parameters of the model, whole.
        experts: of the model.
        architecture: for the manifest.
    """
    source.refuse_strangers(places)
    save = Save(folder, _boxes(source, places, experts), background=False)
    counts = dict.fromkeys(("iteration", "consumed_samples", "consumed_tokens", "skipped", "updates"), 0)
    content = {
        "format": 2,
        "counts": counts,
        "layout": "",
        "world_size": 1,
        "architecture": architecture,
        manifest.WEIGHTS_ONLY: True,
    }
    save.complete(content, {"run.yaml": run_yaml})


def _boxes(source: HuggingFaceSource, places: Sequence[Placement], experts: Experts | None) -> Iterator[Box]:
    block = functools.lru_cache(maxsize=1)(source.block)  # a gated fc1 is two boxes
    for place in places:
        for region in regions(place, 0, math.prod(place.shape), experts):
            make = lambda place=place, region=region: block(place).reshape(-1)[region.begin : region.end].view(region.sizes)
            yield region.key, region.shape, region.offsets, Later(region.sizes, source.dtype(place), make)
