"""A trained model's weights from a run's folder, whole on one process or spread, whatever layout it was trained on."""

from __future__ import annotations

import pathlib

import torch

from megatron_ext.arguments.problems import UserError
from megatron_ext.backend.distributed import all_or_none
from megatron_ext.backend.placement import placements
from megatron_ext.checkpoint import manifest
from megatron_ext.checkpoint.restore import WEIGHT_NAMES, open_source
from megatron_ext.checkpoint.source import Wanted
from megatron_ext.checkpoint.store import checkpoints, is_foreign


def find_checkpoint(folder: str) -> pathlib.Path:
    """The checkpoint that `--load FOLDER` means: the folder itself, or the newest in it whose files are there in full size."""
    found = checkpoints(pathlib.Path(folder))
    problems = []
    for path in found:
        if is_foreign(path):
            return path
        try:
            problem = manifest.problem_of(path, manifest.read(path), checksums=False)
        except UserError as error:
            problem = str(error)
        if problem is None:
            return path
        problems.append(problem)
    why = f"no checkpoint in this folder is whole: {problems[0]}" if problems else "there is no checkpoint in this folder"
    raise UserError(f"--load {folder}: {why}; give the folder that training saved to (--save)")


@torch.no_grad()
def load_weights(model: torch.nn.Module, path: pathlib.Path) -> None:
    """Verify a checkpoint and fill a model, or a part of one, with its weights. Every process calls it."""
    if not is_foreign(path):
        problem = manifest.verify_together(path)
        if problem is not None:
            raise UserError(problem, shared=True)
    wanted = [
        Wanted(place, 0, parameter.numel(), WEIGHT_NAMES, parameter.data.view(-1)) for place, parameter in placements(model)
    ]
    all_or_none(lambda: open_source(path, model.config).read(wanted), f"loading {path}")
