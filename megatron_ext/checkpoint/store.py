"""The checkpoints of one run's folder: whole or not at all, verified before they are believed, kept as long as asked.

    RUN/iter_0000200/manifest.json             counts, layout, what must agree, and each file's size and checksum
                     run.yaml                  the configuration
                     tokenizer/                the tokenizer's files
                     .metadata, __0_0.distcp   weights (fp32), moments, random states: torch's distributed checkpoint
                     common.pt, metadata.json  what megatron-core's dist_checkpointing asks for

A save writes into a hidden folder and renames it; a kill leaves a hidden folder that the next save clears away. A checkpoint
that is not as its manifest says is named, set aside as `iter_N.damaged`, and the newest whole one is taken. Where none is whole
nothing is renamed, and the run does not start over by itself.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import sys
from collections.abc import Iterator, Mapping

from megatron_ext.arguments.problems import UserError
from megatron_ext.backend.distributed import first_alone, first_for_all
from megatron_ext.checkpoint.random_states import random_boxes
from megatron_ext.checkpoint.regions import Experts
from megatron_ext.checkpoint.verification import checkpoints, is_foreign, iteration_of, verify
from megatron_ext.checkpoint.writing import Save, boxes_of, sync
from megatron_ext.optim.sharding.contract import MOMENTS

WEIGHT = ""
PREFIXES = {"weight": WEIGHT, **{moment: f"optimizer.state.{moment}." for moment in MOMENTS}}


class SaveFailed(UserError):
    """A checkpoint was not written; earlier ones are untouched, and the run itself is whole."""


class Store:
    """Writes and finds the checkpoints of a run's folder. Every process calls every method.

    Args:
        folder: of the run.
        flags: the checkpoint group of the configuration.
        experts: of the model.
    """

    def __init__(self, folder: str, layout, flags, experts: Experts | None):
        self.folder, self.layout, self.flags, self.experts = pathlib.Path(folder), layout, flags, experts
        self.newest_iteration: int | None = None  # what is on disk, or under way, as far as this run knows
        self._pending: tuple[Save, pathlib.Path, dict, Mapping[str, str | bytes]] | None = None

    def newest(self) -> pathlib.Path | None:
        """The newest whole checkpoint, or None where there is none at all; broken ones are named on stderr.

        UserError where there are some, and none is whole.
        """
        return self._newest()[0]

    def newest_of_own(self) -> pathlib.Path | None:
        """The same of the folder that this run writes to: broken ones are renamed out of its way once a whole one is found."""
        path, broken = self._newest()
        for each in broken:
            first_alone(lambda each=each: _set_aside(each, "damaged"), f"{each}: is damaged and cannot be renamed")
        return path

    def _newest(self) -> tuple[pathlib.Path | None, list[pathlib.Path]]:
        broken: list[pathlib.Path] = []
        for path in first_for_all(lambda: checkpoints(self.folder), f"{self.folder}: cannot be read"):
            problem = verify(path)
            if problem is None:
                return path, broken
            broken.append(path)
            if self.layout.rank == 0:
                print(f"passing over a checkpoint: {problem}", file=sys.stderr, flush=True)
        if broken:
            raise UserError(
                f"{self.folder}: none of its {len(broken)} checkpoint(s) is whole; to start anew, move them away or give another "
                "folder",
                shared=True,
            )
        return None, broken

    def at(self, iteration: int) -> pathlib.Path:
        """The checkpoint of an iteration; UserError where it is not there or not whole."""
        path = self.folder / f"iter_{iteration:07d}"
        problem = verify(path)
        if problem is not None:
            there = ", ".join(sorted(str(iteration_of(path)) for path in checkpoints(self.folder))) or "none"
            raise UserError(f"--ckpt-step {iteration}: {problem}; checkpoints in {self.folder}: {there}", shared=True)
        return path

    def save(self, state, record: dict, files: Mapping[str, str | bytes]) -> None:
        """Write the state as `iter_N`, in the background with `--async-save`; SaveFailed on all processes if it fails on one.

        An earlier save must be finished.

        Args:
            record: what must agree when the run goes on, for the manifest.
            files: contents by name: the configuration, the tokenizer's.
        """
        if state.iteration == self.newest_iteration:
            return
        final = self.folder / f"iter_{state.iteration:07d}"
        partial = partial_of(final)
        content = {
            "format": 2,
            "counts": state.counts(),
            "layout": str(self.layout),
            "world_size": self.layout.world_size,
            **record,
        }
        with self._failing(final):
            first_alone(lambda: self._clear(partial))
            boxes = [*boxes_of(state.sharding.pieces(), PREFIXES, self.experts), *random_boxes(self.layout.rank)]
            save = Save(partial, boxes, background=self.flags.async_save)
        self._pending = save, final, content, files
        if not self.flags.async_save:
            self.finish()

    def poll(self) -> None:
        """Complete a save in the background once all processes have written their files."""
        if self._pending is not None and self._pending[0].finished():
            self.finish()

    def finish(self) -> None:
        """Wait for a save in the background, and complete it."""
        if self._pending is None:
            return
        save, final, content, files = self._pending
        self._pending = None
        with self._failing(final):
            save.complete(content, files)
            first_alone(lambda: publish(save.folder, final))
        self.newest_iteration = content["counts"]["iteration"]
        if self.layout.rank == 0:
            self._prune()

    @contextlib.contextmanager
    def _failing(self, final: pathlib.Path) -> Iterator[None]:
        try:
            yield
        except UserError as error:
            if self.layout.rank == 0:
                shutil.rmtree(partial_of(final), ignore_errors=True)
            what = f"--save {self.folder}: {final.name} was not written, earlier checkpoints are untouched"
            raise SaveFailed(f"{what}: {error}", shared=error.shared) from None

    def _clear(self, partial: pathlib.Path) -> None:
        """An empty hidden folder to write into, and no left-overs of saves that were killed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        clear_partial(self.folder)
        partial.mkdir()

    def _prune(self) -> None:
        """Delete what `--keep-last` and `--keep-every` do not keep. A folder that cannot be deleted is said, not fatal."""
        if self.flags.keep_last is None:
            return
        ours = [path for path in checkpoints(self.folder) if not is_foreign(path)]
        for path in ours[self.flags.keep_last :]:
            if self.flags.keep_every is None or iteration_of(path) % self.flags.keep_every:
                try:
                    doomed = path.with_name(f".{path.name}.deleted.partial")  # a kill in the middle leaves no half of one
                    os.rename(path, doomed)
                    shutil.rmtree(doomed)
                except OSError as error:
                    print(f"--keep-last {self.flags.keep_last}: {path} stays ({error.strerror})", file=sys.stderr, flush=True)


def partial_of(final: pathlib.Path) -> pathlib.Path:
    """The hidden folder that a checkpoint is written into."""
    return final.with_name(f".{final.name}.partial")


def clear_partial(folder: pathlib.Path) -> None:
    """Delete the hidden folders that killed saves left behind."""
    for stale in [path for path in folder.glob(".iter_*.partial") if path.is_dir()]:
        shutil.rmtree(stale)


def publish(partial: pathlib.Path, final: pathlib.Path) -> None:
    """Put what was written into a hidden folder in its place."""
    if final.exists():  # left by a run that went another way
        _set_aside(final, "replaced")
    os.rename(partial, final)
    sync(final.parent)


def _set_aside(path: pathlib.Path, why: str) -> None:
    for number in range(1, 1000):
        name = f"{path.name}.{why}" + (f".{number}" if number > 1 else "")
        if not path.with_name(name).exists():
            os.rename(path, path.with_name(name))
            return
