"""A trained model from a run's folder, whole on one process, whatever layout it was trained on."""

from __future__ import annotations

import pathlib

import torch

from megatron_ext.arguments.problems import UserError
from megatron_ext.backend.placement import placements
from megatron_ext.checkpoint.source import Source
from megatron_ext.checkpoint.store import newest_whole


def find_checkpoint(folder: str) -> pathlib.Path:
    """The checkpoint that `--load FOLDER` means: the folder itself, or the newest whole one in it."""
    found = newest_whole(pathlib.Path(folder))
    if found is None:
        raise UserError(
            f"--load {folder}: there is no checkpoint in this folder; give the folder that training saved to (--save)"
        )
    return found


@torch.no_grad()
def load_weights(model: torch.nn.Module, checkpoint: pathlib.Path) -> None:
    """Fill a model, or a part of one, with a checkpoint's weights."""
    source = Source(checkpoint)
    for place, parameter in placements(model):
        parameter.copy_(source.read(place, "weight").reshape(parameter.shape))
