"""Reading a checkpoint: any stretch of any parameter, from whichever files hold parts of it.

The files are those of torch's distributed checkpoints, ours or Megatron-LM's (`torch_dist`). Which boxes of which file make
up what is wanted is torch's own planning; its index, a pickle, is read by `safe_pickle.py`, and tensors with `weights_only`.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
import pickle
import re
from collections.abc import Iterable

import numpy as np
import torch
from torch.distributed.checkpoint import FileSystemReader
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata, Metadata, MetadataIndex, StorageMeta
from torch.distributed.checkpoint.planner import LoadPlan, LoadPlanner, ReadItem
from torch.distributed.checkpoint.planner_helpers import create_read_items_for_chunk_list

from megatron_ext.arguments.problems import UserError
from megatron_ext.backend.placement import VOCABULARY, Placement
from megatron_ext.checkpoint import safe_pickle
from megatron_ext.checkpoint.regions import Experts, Region, regions, stacked

METADATA = ".metadata"
# A norm's name here, and where Megatron-LM's specs fuse it otherwise: the local one with experts; with latent attention.
_OTHER_NAMES = (
    (".pre_mlp_layernorm.", ".mlp.linear_fc1.layer_norm_"),
    (".self_attention.linear_qkv.layer_norm_", ".input_layernorm."),
    (".self_attention.q_layernorm.", ".self_attention.linear_q_up_proj.layer_norm_"),
    (".self_attention.kv_layernorm.", ".self_attention.linear_kv_up_proj.layer_norm_"),
)
_CHAINED = re.compile(r"chained_\d+\.")  # megatron-core numbers the optimizers of dense parameters and of experts


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Numbers `begin` … `end` − 1 of the flattened block `place`, to be written into `target`, 1-D, of any type.

    Attributes:
        names: the prefixes under which they may lie, the first that is there taken: `""` is the model's own weight.
    """

    place: Placement
    begin: int
    end: int
    names: tuple[str, ...]
    target: torch.Tensor


class _Reader(FileSystemReader):
    """torch's reader, its index read without unpickling."""

    def read_metadata(self, *args, **kwargs) -> Metadata:
        path = pathlib.Path(self.path) / METADATA
        try:
            with open(path, "rb") as file:
                metadata = safe_pickle.load(file, str(path))
        except FileNotFoundError:
            raise UserError(f"{path}: is not there") from None
        if not isinstance(metadata, Metadata):
            raise UserError(f"{path}: is not the index of a distributed checkpoint")
        metadata.storage_meta = StorageMeta()
        return metadata


def problem_of_index(path: pathlib.Path) -> str | None:
    """What is wrong with the first file that a checkpoint's index names, or None; UserError where it is the index itself."""
    ends: dict[str, int] = {}
    for piece in _Reader(path).read_metadata().storage_data.values():
        ends[piece.relative_path] = max(ends.get(piece.relative_path, 0), piece.offset + piece.length)
    for name, end in sorted(ends.items()):
        if not (path / name).is_file():
            return f"{path / name}: is not there"
        if (size := (path / name).stat().st_size) < end:
            return f"{path / name}: has {size} bytes, expected {end} or more"
    return None


class _Planner(LoadPlanner):
    """Hands out the places that were planned; nothing is negotiated between processes."""

    def __init__(self, targets: list[torch.Tensor]):
        self.targets = targets

    def set_up_planner(self, state_dict, metadata=None, is_coordinator=False) -> None:
        pass

    def create_local_plan(self) -> LoadPlan:
        raise NotImplementedError

    def create_global_plan(self, global_plan: list[LoadPlan]) -> list[LoadPlan]:
        return global_plan

    def finish_plan(self, central_plan: LoadPlan) -> LoadPlan:
        return central_plan

    def load_bytes(self, read_item: ReadItem, value) -> None:
        raise NotImplementedError

    def resolve_tensor(self, read_item: ReadItem) -> torch.Tensor:
        target = self.targets[read_item.dest_index.index]
        for dimension, (offset, length) in enumerate(zip(read_item.dest_offsets, read_item.lengths, strict=True)):
            target = target.narrow(dimension, offset, length)
        return target

    def commit_tensor(self, read_item: ReadItem, tensor: torch.Tensor) -> None:
        pass


class Source:
    """One checkpoint, opened for reading.

    Args:
        layers, experts: of the model that reads.
        vocab_size: rows that the embedding must have; those that only pad it may differ.
    """

    def __init__(self, path: pathlib.Path, layers: int, experts: Experts | None, vocab_size: int):
        self.path, self.layers, self.experts, self.vocab_size = path, layers, experts, vocab_size
        self._reader = _Reader(path)
        metadata = self._reader.read_metadata()
        self._reader.set_up_storage_reader(metadata, is_coordinator=False)
        self._tensors = {name: tensor for name, tensor in metadata.state_dict_metadata.items() if hasattr(tensor, "chunks")}
        self._corners: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._plain = {_CHAINED.sub("", name): name for name in self._tensors}

    def names(self) -> set[str]:
        return set(self._plain)

    def read(self, wanted: Iterable[Wanted]) -> None:
        """Fill every target. UserError names the parameter that is not there, is not whole or has another shape."""
        items, targets = [], []
        for want in wanted:
            for region in regions(want.place, want.begin, want.end, self.experts):
                target = want.target[region.begin - want.begin : region.end - want.begin]
                items += self._plan(want, region, target, targets)
        try:
            self._reader.read_data(LoadPlan(items), _Planner(targets)).wait()
        except (OSError, RuntimeError, AssertionError, EOFError, KeyError, pickle.UnpicklingError) as error:
            raise UserError(f"{self.path}: cannot be read ({_first_line(error)})") from None

    def tensor(self, name: str) -> torch.Tensor:
        """A small tensor, whole."""
        stored = self._tensors[self._plain[name]]
        target = torch.empty(stored.size, dtype=stored.properties.dtype)
        items = self._items(name, stored, (0,) * target.dim(), tuple(target.shape), 0)
        self._reader.read_data(LoadPlan(items), _Planner([target])).wait()
        return target

    def _plan(self, want: Wanted, region: Region, target: torch.Tensor, targets: list[torch.Tensor]) -> list[ReadItem]:
        name, region = self._find(want, region)
        stored = self._tensors[self._plain[name]]
        target = target.view(region.sizes)
        if tuple(stored.size) != region.shape:
            rows = self._rows_of_vocabulary(want, region, stored)
            kept = max(min(region.offsets[0] + region.sizes[0], rows) - region.offsets[0], 0)
            target[kept:].zero_()  # rows that only pad the vocabulary here
            region = dataclasses.replace(region, sizes=(kept, *region.sizes[1:]))
            target = target[:kept]
        targets.append(target)
        items = self._items(name, stored, region.offsets, region.sizes, len(targets) - 1)
        found, expected = sum(math.prod(item.lengths) for item in items), math.prod(region.sizes)
        if found != expected:
            raise UserError(f"{self.path}: of {name}, {found} of {expected} numbers in a box at {region.offsets} are there")
        return items

    def _find(self, want: Wanted, region: Region) -> tuple[str, Region]:
        """`(name, region)`: the first of the names that is there, each layer by itself or all of them stacked."""
        others = [dataclasses.replace(region, key=region.key.replace(*pair)) for pair in _OTHER_NAMES if pair[0] in region.key]
        candidates = [form for each in (region, *others) for form in (each, stacked(each, self.layers))]
        for prefix in want.names:
            for candidate in candidates:
                if candidate is not None and prefix + candidate.key in self._plain:
                    return prefix + candidate.key, candidate
        what = f"{want.names[0]}{region.key}"
        raise UserError(f"{self.path}: has no {what}; the architecture's flags differ from those it was saved with")

    def _rows_of_vocabulary(self, want: Wanted, region: Region, stored) -> int:
        """The rows that both have, where only the vocabulary's padding differs."""
        rows = min(stored.size[0], region.shape[0]) if len(stored.size) else 0
        padding = region.key in VOCABULARY and tuple(stored.size[1:]) == region.shape[1:] and rows >= self.vocab_size
        if not padding:
            raise UserError(
                f"{self.path}: {want.place.name} has shape {tuple(stored.size)}, and this model's is {region.shape}; "
                "the architecture's flags differ from those it was saved with"
            )
        return rows

    def _items(self, name: str, stored, offsets, sizes, number: int) -> list[ReadItem]:
        """torch's plan for one box, its pieces marked with the target's number."""
        chunk = ChunkStorageMetadata(torch.Size(offsets), torch.Size(sizes))
        near = dataclasses.replace(stored, chunks=self._chunks_within(name, stored, offsets, sizes))
        items = create_read_items_for_chunk_list(self._plain[name], near, [chunk])
        return [dataclasses.replace(item, dest_index=MetadataIndex(name, None, number)) for item in items]

    def _chunks_within(self, name: str, stored, offsets, sizes) -> list[ChunkStorageMetadata]:
        """The stored boxes that overlap one. torch looks at each in Python: 32 ms of 8,192, as experts have; this way 5."""
        if name not in self._corners:
            begins = np.array([chunk.offsets for chunk in stored.chunks]).reshape(len(stored.chunks), -1)
            self._corners[name] = begins, begins + np.array([chunk.sizes for chunk in stored.chunks]).reshape(begins.shape)
        begins, ends = self._corners[name]
        begin = np.array(offsets, dtype=np.int64)
        overlap = (begins < begin + np.array(sizes, dtype=np.int64)) & (ends > begin)
        return [stored.chunks[number] for number in np.flatnonzero(overlap.all(axis=1))]


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
