"""Reading a checkpoint: any block of any parameter, put together from whichever files hold parts of it."""

from __future__ import annotations

import json
import pathlib
import pickle

import torch

from megatron_ext.arguments.problems import UserError
from megatron_ext.backend.placement import Placement

INDEX = "index.json"


def file_of_rank(rank: int) -> str:
    return f"rank_{rank:05d}.pt"


def read_index(path: pathlib.Path) -> dict:
    """The index of a checkpoint whose files are all there in full size; UserError names what is not."""
    try:
        index = json.loads((path / INDEX).read_text(encoding="utf-8"))
        files = index["files"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path / INDEX}: cannot be read as a checkpoint's index ({error})") from None
    for name, size in files.items():
        found = (path / name).stat().st_size if (path / name).exists() else None
        if found != size:
            raise UserError(f"{path / name}: expected {size} bytes, found {'no file' if found is None else found}")
    return index


class Source:
    """One checkpoint, opened for reading; files are memory-mapped when first needed."""

    def __init__(self, path: pathlib.Path):
        self.path, self.index = path, read_index(path)
        self._files: dict[int, dict] = {}

    def file(self, rank: int) -> dict:
        """The content of a rank's file."""
        if rank not in self._files:
            path = self.path / file_of_rank(rank)
            try:
                self._files[rank] = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
            except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
                raise UserError(f"{path}: cannot be read as a checkpoint's file ({str(error).splitlines()[0]})") from None
        return self._files[rank]

    def read(self, place: Placement, tensor: str) -> torch.Tensor:
        """The block `place` of a parameter's `tensor` (`weight` or a moment): fp32, shaped `place.local`."""
        entry = self.index["parameters"].get(place.name)
        if entry is None:
            raise UserError(
                f"{self.path}: has no parameter {place.name}; the architecture's flags differ from those it was saved with"
            )
        if tuple(entry["shape"]) != place.shape:
            raise UserError(
                f"{self.path}: {place.name} has shape {tuple(entry['shape'])}, and this model's is {place.shape}; "
                "the architecture's flags differ from those it was saved with"
            )
        block, missing = torch.empty(place.local), place.local
        covered = 0
        for (start, local), parts in _blocks(entry["parts"]).items():
            here, there, size = _overlap(place, start, local)
            if size:
                block[here] = self._assemble(local, parts, tensor)[there]
                covered += size
        if covered != block.numel():
            raise UserError(
                f"{self.path}: of {place.name}, {covered} of {block.numel()} numbers in a block of {missing} are there"
            )
        return block

    def _assemble(self, local: tuple[int, ...], parts: list[dict], tensor: str) -> torch.Tensor:
        """A stored block out of its ranges."""
        ranges = [
            self.file(part["rank"])["pieces"][str(part["number"])][tensor] for part in sorted(parts, key=lambda p: p["begin"])
        ]
        return torch.cat(ranges).reshape(local) if len(ranges) > 1 else ranges[0].reshape(local)


def _blocks(parts: list[dict]) -> dict[tuple, list[dict]]:
    """Parts by the block that they cut up."""
    blocks: dict[tuple, list[dict]] = {}
    for part in parts:
        blocks.setdefault((tuple(part["start"]), tuple(part["local"])), []).append(part)
    return blocks


def _overlap(place: Placement, start: tuple[int, ...], local: tuple[int, ...]) -> tuple[tuple, tuple, int]:
    """`(slices in place's block, slices in the stored block, numbers in common)`."""
    here, there, size = [], [], 1
    for ours, length, theirs, their_length in zip(place.start, place.local, start, local, strict=True):
        first, last = max(ours, theirs), min(ours + length, theirs + their_length)
        size *= max(last - first, 0)
        here.append(slice(first - ours, last - ours))
        there.append(slice(first - theirs, last - theirs))
    return tuple(here), tuple(there), size
