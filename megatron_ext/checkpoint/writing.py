"""One save under way: planned by all processes together, written by each for itself, completed by the first.

The files are those of torch's distributed checkpoints (`.metadata`, `__RANK_0.distcp`), with what megatron-core's
`dist_checkpointing` looks for beside them. What several processes hold is written once, by the one that has least to write.
In the background, only copying to host memory holds training up; files are written and checked by a thread, and the last
step, a few milliseconds, happens between two updates.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import threading
from collections.abc import Callable, Iterable, Mapping

import torch
from torch.distributed.checkpoint import DefaultSavePlanner, FileSystemWriter
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata, MetadataIndex, TensorProperties
from torch.distributed.checkpoint.planner import SavePlan, TensorWriteData, WriteItem, WriteItemType

from megatron_ext.arguments.problems import UserError
from megatron_ext.backend.distributed import all_or_none
from megatron_ext.checkpoint import manifest
from megatron_ext.checkpoint.regions import Experts, regions

# What megatron-core looks for in a folder before it reads it, and how it must name things to find them.
_MEGATRON_CONFIG = {
    "sharded_backend": "torch_dist",
    "sharded_backend_version": 1,
    "common_backend": "torch",
    "common_backend_version": 1,
}
_MEGATRON_CONTENT = {"non_homogeneous_layers": True}

Box = tuple[str, tuple[int, ...], tuple[int, ...], "torch.Tensor | Later"]
"""`(name, shape of the whole tensor, offsets, the numbers in the box)`"""


@dataclasses.dataclass(frozen=True)
class Later:
    """The numbers of a box that are made when they are written, and forgotten then: for what does not fit into memory."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    make: Callable[[], torch.Tensor]

    def size(self) -> torch.Size:
        return torch.Size(self.shape)

    def detach(self) -> Later:
        return self


def boxes_of(pieces: Iterable, prefixes: dict[str, str], experts: Experts | None) -> Iterable[Box]:
    """The boxes of the sharded state's pieces; another stage's parameter is that stage's to write."""
    for piece in pieces:
        if piece.place.copy:
            continue
        for region in regions(piece.place, piece.begin, piece.end, experts):
            for name, tensor in piece.tensors.items():
                part = tensor[region.begin - piece.begin : region.end - piece.begin].view(region.sizes)
                yield prefixes[name] + region.key, region.shape, region.offsets, part


class _Planner(DefaultSavePlanner):
    """torch's planner over our boxes."""

    def __init__(self, boxes: Iterable[Box]):
        super().__init__(flatten_state_dict=False, flatten_sharded_tensors=False)
        self.tensors, self._items, self._thread = {}, [], threading.local()
        for name, shape, offsets, tensor in boxes:
            index = MetadataIndex(name, offsets)
            chunk = ChunkStorageMetadata(torch.Size(offsets), tensor.size())
            data = TensorWriteData(chunk, TensorProperties(tensor.dtype), torch.Size(shape))
            self._items.append(WriteItem(index, WriteItemType.SHARD, tensor_data=data))
            self.tensors[index] = tensor.detach()

    def create_local_plan(self) -> SavePlan:
        return SavePlan(self._items)

    def resolve_data(self, write_item: WriteItem) -> torch.Tensor:
        found = self.tensors[write_item.index]
        return self._made(found) if isinstance(found, Later) else found

    def _made(self, box: Later) -> torch.Tensor:
        """torch keeps every tensor that it has written until the file is whole (2.13): the last one's memory is taken from it."""
        if (last := getattr(self._thread, "last", None)) is not None:
            last.untyped_storage().resize_(0)
        self._thread.last = box.make().clone()
        return self._thread.last

    def keep_only(self, plan: SavePlan, copy: bool) -> None:
        """Forget what others write; `copy` the rest to host memory, since training goes on changing it."""
        wanted = [item.index for item in plan.items]
        self.tensors = {index: self._host_copy(index) if copy else self.tensors[index] for index in wanted}

    def _host_copy(self, index) -> torch.Tensor:
        return self.tensors[index].to("cpu", copy=True)


class Save:
    """A checkpoint being written into `folder`, which must be there and empty on the first process's disk.

    Args:
        background: write in a thread. `finished` tells, collectively, whether all are done; then `complete`.
    """

    def __init__(self, folder: pathlib.Path, boxes: Iterable[Box], background: bool):
        self.folder, self._rank = folder, torch.distributed.get_rank()
        self._problem: BaseException | None = None
        self._written: tuple[list, dict] = ([], {})
        self._planner = _Planner(boxes)
        self._writer = FileSystemWriter(folder, thread_count=2 if torch.cuda.is_available() else 1)
        self._plan, self._metadata = self._agree()
        self._planner.keep_only(self._plan, copy=background)
        if background:
            self._thread = threading.Thread(target=self._write, name="checkpoint", daemon=True)
            self._thread.start()
        else:
            self._thread = None
            self._write()

    def _agree(self):
        """This process's part of the global plan, and on the first the index of it all."""
        self._writer.set_up_storage_writer(self._rank == 0)
        local = self._writer.prepare_local_plan(self._planner.create_local_plan())
        world = torch.distributed.get_world_size()
        plans, metadata = [None] * world, None
        torch.distributed.gather_object(local, plans if self._rank == 0 else None)
        problem = None
        if self._rank == 0:
            try:
                plans, metadata = self._planner.create_global_plan(plans)
                plans = self._writer.prepare_global_plan(plans)
            except ValueError as error:  # boxes overlap or leave a hole
                problem = error
        all_or_none(lambda: _raise(problem), f"{self.folder}: parts of the model do not fit together")
        mine = [None]
        torch.distributed.scatter_object_list(mine, plans if self._rank == 0 else None, src=0)
        return mine[0], metadata

    def _write(self) -> None:
        try:
            results = self._writer.write_data(self._plan, self._planner).wait()
            names = {result.storage_data.relative_path for result in results}
            self._written = results, {name: manifest.entry(self.folder / name) for name in names}
        except BaseException as error:
            self._problem = _cause(error)
        finally:
            self._planner.tensors = {}

    def finished(self) -> bool:
        """Whether every process has written its files, or failed to. Collective."""
        running = torch.tensor(int(self._thread is not None and self._thread.is_alive()), device=_device())
        torch.distributed.all_reduce(running, op=torch.distributed.ReduceOp.MAX)
        return not running.item()

    def complete(self, content: dict, small: Mapping[str, str | bytes]) -> None:
        """Wait, then write the index, `small` files (name → content) and last the manifest. Collective; UserError on every
        process where one failed."""
        if self._thread is not None:
            self._thread.join()
        all_or_none(lambda: _raise(self._problem))
        written = [None] * torch.distributed.get_world_size() if self._rank == 0 else None
        torch.distributed.gather_object(self._written, written)
        all_or_none((lambda: self._finish(written, content, small)) if self._rank == 0 else lambda: None)

    def _finish(self, written: list, content: dict, small: Mapping[str, str | bytes]) -> None:
        self._writer.finish(self._metadata, [results for results, _ in written])
        torch.save(
            {"iteration": content["counts"]["iteration"], "content_metadata": _MEGATRON_CONTENT}, self.folder / "common.pt"
        )
        for name, data in {**small, "metadata.json": json.dumps(_MEGATRON_CONFIG)}.items():
            (self.folder / name).parent.mkdir(exist_ok=True)
            (self.folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
        files = {name: line for _, entries in written for name, line in entries.items()}
        names = [".metadata", "common.pt", "metadata.json", *small]
        files |= {name: manifest.entry(self.folder / name) for name in names}
        for path in dict.fromkeys(path for name in names for path in (self.folder / name, (self.folder / name).parent)):
            sync(path)
        # What others wrote must be here: else a manifest would name files that lie on another node's disk.
        if problem := manifest.problem_of(self.folder, {"files": files}, checksums=False):
            raise UserError(f"{problem}; the folder must lie on a disk that all nodes share")
        manifest.write(self.folder, {**content, "files": files})
        sync(self.folder)


def sync(path: pathlib.Path) -> None:
    """Flush a file or a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cause(error: BaseException) -> BaseException:
    """The system's word (no space, quota) where there is one: torch's archive writer hides it behind a position that is off."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, OSError):
        found = found.__cause__ or found.__context__
    return found or error


def _raise(problem: BaseException | None) -> None:
    if isinstance(problem, OSError):
        raise problem
    if problem is not None:
        raise RuntimeError(str(problem) or type(problem).__name__) from problem


def _device() -> str:
    return "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
