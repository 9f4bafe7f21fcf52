"""Whether a checkpoint is whole, as all processes see it.

What is damaged for everybody is damage, and the checkpoint is passed over. What one process may not read, or sees otherwise than
the others (a node whose `--save` is not the shared disk, a file server that does not answer), says nothing about the
checkpoint, and nothing is passed over or renamed for it: it is an error.
"""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Callable

import torch

from megatron_ext.arguments.problems import UserError
from megatron_ext.backend.distributed import node_name
from megatron_ext.checkpoint import manifest
from megatron_ext.checkpoint.conversion.folder import is_huggingface, problem_of_folder
from megatron_ext.checkpoint.source import METADATA, problem_of_index

_NAME = re.compile(r"iter_(\d{7,})$")


def verify(path: pathlib.Path) -> str | None:
    """What is wrong with a checkpoint, or None, the same on all processes. Sizes are looked at by every process, and each reads
    its share of the files.

    UserError where processes do not see the same, or cannot read what is there.
    """
    rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
    problems = _everybodys(path, lambda: _problem_of_sizes(path))
    if len(set(problems)) > 1:
        other = next(number for number, problem in enumerate(problems) if problem != problems[0])
        raise UserError(
            f"{path}: process 0 finds {problems[0] or 'it whole'}, process {other} finds {problems[other] or 'it whole'}: "
            "the folder must lie on a disk that all nodes share",
            shared=True,
        )
    if problems[0] is not None or is_foreign(path) or is_huggingface(path):
        return problems[0]
    problems = _everybodys(path, lambda: manifest.problem_of(path, manifest.read(path), rank, ranks))
    return next(filter(None, problems), None)


def _everybodys(path: pathlib.Path, look: Callable[[], str | None]) -> list[str | None]:
    """What each process finds wrong; UserError where one is not let to look."""
    problem = unreadable = None
    try:
        problem = look()
    except UserError as error:
        problem = str(error)
    except OSError as error:
        unreadable = f"{error.filename or path}: cannot be read on {node_name()} ({error.strerror or error})"
    found = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(found, (problem, unreadable))
    for _, unreadable in found:
        if unreadable is not None:
            raise UserError(f"{unreadable}; if that cannot be mended, move this checkpoint away", shared=True)
    return [problem for problem, _ in found]


def _problem_of_sizes(path: pathlib.Path) -> str | None:
    if is_foreign(path):
        return problem_of_index(path)
    if is_huggingface(path):
        return problem_of_folder(path)
    return manifest.problem_of(path, manifest.read(path), checksums=False)


def find_checkpoint(option: str, folder: str, iteration: int | None = None) -> pathlib.Path | None:
    """The newest checkpoint in a folder, or that of an iteration, whose files are there in full size; None where there is none.

    UserError where there are some, and none is whole, or the folder cannot be read. For one process by itself.
    """
    problems = []
    try:
        for path in checkpoints(pathlib.Path(folder)):
            if iteration is not None and path.name != f"iter_{iteration:07d}":
                continue
            try:
                problem = _problem_of_sizes(path)
            except UserError as error:
                problem = str(error)
            if problem is None:
                return path
            problems.append(problem)
    except OSError as error:
        raise UserError(f"{option} {folder}: cannot be read ({error.strerror or error})") from None
    if problems:
        raise UserError(f"{option} {folder}: no checkpoint in this folder is whole: {problems[0]}")
    return None


def is_foreign(path: pathlib.Path) -> bool:
    """Whether a folder is a torch_dist checkpoint that this project did not write."""
    return (path / METADATA).exists() and not (path / manifest.MANIFEST).exists() and not (path / "run.yaml").exists()


def checkpoints(folder: pathlib.Path) -> list[pathlib.Path]:
    """The checkpoints in a run's folder, newest first; the folder itself where it is one, or Hugging Face's.

    OSError where it cannot be read.
    """
    if (folder / manifest.MANIFEST).exists() or is_foreign(folder) or is_huggingface(folder):
        return [folder]
    names = os.listdir(folder) if folder.is_dir() else []
    found = [folder / name for name in names if _NAME.match(name) and (folder / name).is_dir()]
    return sorted(found, key=iteration_of, reverse=True)


def iteration_of(path: pathlib.Path) -> int:
    """The number in a checkpoint's name; 0 where its name is another."""
    found = _NAME.match(path.name)
    return int(found.group(1)) if found else 0
