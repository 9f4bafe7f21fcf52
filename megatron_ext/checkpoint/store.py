"""Checkpoints on disk: whole or not at all, and by global name, so that any layout reads what any other wrote.

    RUN/iter_0000200/index.json      counts, layout, and for each parameter: its shape, and which file has which block
                     run.yaml        the configuration
                     rank_00000.pt   this process's pieces (fp32 weights and moments) and random-number states

A save writes into a hidden folder, syncs it to disk and renames it; a kill leaves a hidden folder that the next save
clears away. Pieces that several processes hold are written once, by the lowest rank. Files are read with
`weights_only`: nothing from outside is unpickled.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import sys

import torch

from megatron_ext.arguments.problems import UserError
from megatron_ext.backend.distributed import all_or_none, first_alone
from megatron_ext.checkpoint.random_states import random_states, set_random_states
from megatron_ext.checkpoint.source import INDEX, Source, file_of_rank, read_index

_NAME = re.compile(r"iter_(\d{7,})$")


class Store:
    """The checkpoints of one run's folder."""

    def __init__(self, folder: str, layout):
        self.folder, self.layout = pathlib.Path(folder), layout

    def newest(self) -> StoredRun | None:
        """The newest whole checkpoint, the same for all processes; broken ones are named on stderr and passed over."""
        found = [str(newest_whole(self.folder) or "") if self.layout.rank == 0 else ""]
        torch.distributed.broadcast_object_list(found, src=0)
        return StoredRun(pathlib.Path(found[0]), self.layout) if found[0] else None

    def save(self, state, config) -> None:
        """Write the state as `iter_N`. Every process calls it; all learn of a failure, and then nothing new is there."""
        final = self.folder / f"iter_{state.iteration:07d}"
        there = [is_whole(final) if self.layout.rank == 0 else False]
        torch.distributed.broadcast_object_list(there, src=0)
        if there[0]:
            return
        partial = self.folder / f".{final.name}.partial"
        what = f"--save {self.folder}: the checkpoint of iteration {state.iteration} was not written, earlier ones are untouched"
        first_alone(lambda: self._clear(partial), what)
        pieces = self._own_pieces(state)
        all_or_none(lambda: self._write(partial, pieces), what)
        index = self._index(state, pieces)
        first_alone(lambda: self._complete(partial, final, index, config), what)

    def _own_pieces(self, state) -> list:
        """The pieces that this process writes: of equal ones on several processes, the lowest rank's."""
        pieces = list(state.sharding.pieces())
        keys = [None] * self.layout.world_size
        torch.distributed.all_gather_object(keys, [_key(piece) for piece in pieces])
        before = {key for rank in range(self.layout.rank) for key in keys[rank]}
        return [piece for piece in pieces if _key(piece) not in before]

    def _write(self, partial: pathlib.Path, pieces: list) -> None:
        path = partial / file_of_rank(self.layout.rank)
        with open(path, "wb") as file:
            torch.save({"pieces": {f"{i}": piece.tensors for i, piece in enumerate(pieces)}, "random": random_states()}, file)
            file.flush()
            os.fsync(file.fileno())

    def _index(self, state, pieces: list) -> dict | None:
        """What index.json holds, on rank 0."""
        rows = [
            [piece.place.name, piece.place.shape, piece.place.start, piece.place.local, piece.begin, piece.end]
            for piece in pieces
        ]
        gathered = [None] * self.layout.world_size
        torch.distributed.all_gather_object(gathered, rows)
        if self.layout.rank != 0:
            return None
        parameters: dict[str, dict] = {}
        for rank, rank_rows in enumerate(gathered):
            for number, (name, shape, start, local, begin, end) in enumerate(rank_rows):
                entry = parameters.setdefault(name, {"shape": shape, "parts": []})
                entry["parts"].append(
                    {"rank": rank, "number": number, "start": start, "local": local, "begin": begin, "end": end}
                )
        return {
            "format": 1,
            "counts": state.counts(),
            "layout": str(self.layout),
            "world_size": self.layout.world_size,
            "parameters": parameters,
        }

    def _complete(self, partial: pathlib.Path, final: pathlib.Path, index: dict, config) -> None:
        """Rank 0's part once all files are there: sizes, index, configuration, sync, rename."""
        index["files"] = {
            file_of_rank(rank): (partial / file_of_rank(rank)).stat().st_size for rank in range(self.layout.world_size)
        }
        index["architecture"] = architecture(config)
        (partial / "run.yaml").write_text(config.to_yaml(), encoding="utf-8")
        with open(partial / INDEX, "w", encoding="utf-8") as file:
            json.dump(index, file)
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(partial)
        if final.exists():  # a damaged one, which resuming passed over
            os.rename(final, final.with_name(f".{final.name}.damaged.partial"))
        os.rename(partial, final)
        _sync_folder(self.folder)

    def _clear(self, partial: pathlib.Path) -> None:
        """An empty hidden folder to write into, and no left-overs of saves that were killed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for stale in self.folder.glob(".iter_*.partial"):
            shutil.rmtree(stale)
        partial.mkdir()


class StoredRun:
    """One whole checkpoint of a run."""

    def __init__(self, path: pathlib.Path, layout):
        self.path, self.layout = path, layout

    def restore(self, state, config) -> None:
        """Bring `state` to where it was saved. On the layout that saved it, random states included: bit for bit."""
        source = Source(self.path)
        refuse_another_architecture(self.path, source.index["architecture"], architecture(config))
        all_or_none(lambda: _fill(state.sharding.pieces(), source), f"resuming from {self.path}")
        counts = source.index["counts"]
        state.iteration, state.skipped = counts["iteration"], counts["skipped"]
        state.consumed_samples, state.consumed_tokens = counts["consumed_samples"], counts["consumed_tokens"]
        state.sharding.loaded(counts["updates"])
        if source.index["layout"] == str(self.layout):
            set_random_states(source.file(self.layout.rank)["random"])


def _fill(pieces, source: Source) -> None:
    for piece in pieces:
        for name, tensor in piece.tensors.items():
            tensor.copy_(source.read(piece.place, name).reshape(-1)[piece.begin : piece.end])


# Flags of the model that may change while a run goes on: they change no function of the weights.
_FREE = {
    "preset", "seq_length", "max_position_embeddings", "make_vocab_size_divisible_by", "hidden_dropout", "attention_dropout",
    "init_method_std", "moe_token_dispatcher_type", "moe_aux_loss_coeff",
}  # fmt: skip


def architecture(config) -> dict:
    """The flags that say what the weights mean; shapes alone do not (the number of heads, the base of rotary positions)."""
    return {name: value for name, value in vars(config.model).items() if name not in _FREE}


def refuse_another_architecture(path: pathlib.Path, saved: dict, ours: dict) -> None:
    """UserError naming every flag that differs from those a checkpoint was saved with."""
    different = [
        f"--{name.replace('_', '-')} was {saved[name]}, is {ours[name]}" for name in ours if saved.get(name) != ours[name]
    ]
    if different:
        raise UserError(
            f"{path}: was saved with another architecture: {'; '.join(different)}; give the saved flags, or another --save"
        )


def is_whole(path: pathlib.Path) -> bool:
    """Whether a folder is a checkpoint with all its files in full size; says on stderr what is wrong with one that is not."""
    if not path.exists():
        return False
    try:
        read_index(path)
    except UserError as error:
        print(f"passing over a checkpoint: {error}", file=sys.stderr, flush=True)
        return False
    return True


def newest_whole(folder: pathlib.Path) -> pathlib.Path | None:
    """The folder itself where it is a checkpoint, else the newest whole one in it."""
    found = [folder] if (folder / INDEX).exists() else checkpoints(folder)
    return next(filter(is_whole, found), None)


def checkpoints(folder: pathlib.Path) -> list[pathlib.Path]:
    """The checkpoints in a run's folder, newest first."""
    found = [path for path in folder.glob("iter_*") if _NAME.match(path.name) and path.is_dir()]
    return sorted(found, key=lambda path: int(_NAME.match(path.name).group(1)), reverse=True)


def _key(piece) -> tuple:
    return piece.place.name, piece.place.start, piece.begin, piece.end


def _sync_folder(folder: pathlib.Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
