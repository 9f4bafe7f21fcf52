"""A whole corpus: planned, its shards scheduled on this machine's cores, what became of them added up into one receipt.

Memory: a worker holds one document at a time, at most sources.LONGEST_RECORD of it, a few MB of lines to be written and its
rules' models; this process the shards' names and one tally. None of it grows with the input.
"""

from __future__ import annotations

import fcntl
import pathlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import NamedTuple

from megatron_ext.arguments.config import Config
from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.cleaning.steps import Cleaner, empty_tally
from megatron_ext.corpus.cleaning.tally import Tally
from megatron_ext.corpus.engine import local
from megatron_ext.corpus.engine.keys import key_of
from megatron_ext.corpus.engine.run_shard import ShardRunner, read_manifest
from megatron_ext.corpus.engine.shards import Shard, cut
from megatron_ext.corpus.inputs import expand_all
from megatron_ext.corpus.progress import Meter
from megatron_ext.corpus.receipt.write import RECEIPTS, write_receipt
from megatron_ext.corpus.whole_file import write_whole

RECIPE = "recipe.yaml"


class Cleaned(NamedTuple):
    """What a run gave. Attributes: skipped: shards that an earlier run had done; seconds: of this run."""

    tally: Tally
    shards: int
    skipped: int
    seconds: float
    warnings: Sequence[str]

    def lines(self) -> list[tuple[str, str]]:
        """The closing summary, as pairs of what and how much."""
        reading, (documents, kept) = self.tally.steps[0], self.tally.kept
        edited, removed = (sum(getattr(step, name) for step in self.tally.steps) for name in ("edited", "removed"))
        again = f", {self.skipped} of them done before" if self.skipped else ""
        speed = f"; {reading.bytes / max(self.seconds, 1e-9) / 1e6:.1f} MB/s" if not self.skipped else ""
        dropped = [
            (step.name, f"{sum(count for count, _ in step.dropped.values()):,} dropped of {step.documents:,}")
            for step in self.tally.steps
            if step.dropped
        ]
        return [
            ("documents", f"{reading.documents:,}, {reading.bytes / 1e6:,.1f} MB of text in {self.shards} shards{again}"),
            *dropped,
            ("edited", f"{edited:,} times, {removed / 1e6:,.2f} MB taken out"),
            ("kept", f"{documents:,} ({documents / max(reading.documents, 1):.1%}), {kept / 1e6:,.1f} MB"),
            ("time", f"{self.seconds:,.1f} s{speed}"),
        ]


def clean(config: Config) -> Cleaned:
    """Do what is not done yet. UserError: something that the user can mend; what is done stays, and the same command goes on."""
    c, folder = SimpleNamespace(**config.flat()), pathlib.Path(config.engine.output)
    start = time.monotonic()
    Cleaner(c)  # what cannot be built is found out here, not in every worker
    with _locked(folder):
        shards = list(cut(expand_all(c.input), c, 1e6 * c.shard_size))
        jobs = [(shard, key_of(config, shard)) for shard in shards]
        done = {job for job in jobs if read_manifest(folder, *job) is not None}
        waiting = [job for job in jobs if job not in done]
        _sweep(folder, {shard.name for shard, _ in done})
        write_whole(folder / RECIPE, config.to_yaml())
        failures = _work(c, waiting)
        tally, seconds = _added_up(c, folder, jobs)
        told = [f"{shard.file} ({shard.name}): {reason}" for shard, reason in failures]
        warnings = write_receipt(f"{folder}/", c, tally, len(shards), seconds, told)
    if told:
        raise UserError(
            f"{len(told)} of {len(shards)} shards were set aside, and their documents are missing from {folder}:\n"
            + "\n".join(f"  - {each}" for each in told)
            + "\nThe same command, once that is mended, does these and nothing else"
        )
    return Cleaned(tally, len(shards), len(shards) - len(waiting), time.monotonic() - start, warnings)


def clean_one(config: Config, number: int) -> None:
    """One shard of a run, in this process: what a cluster's scheduler calls."""
    c = SimpleNamespace(**config.flat())
    shards = list(cut(expand_all(c.input), c, 1e6 * c.shard_size))
    if number >= len(shards):
        raise UserError(f"--run-shard {number}: the run has {len(shards)} shards, 0 to {len(shards) - 1}")
    folder, job = pathlib.Path(c.output), (shards[number], key_of(config, shards[number]))
    _ours(folder)
    write_whole(folder / RECIPE, config.to_yaml())
    if read_manifest(folder, *job) is None:
        ShardRunner(c)(job)


def _work(c: SimpleNamespace, jobs: list[tuple[Shard, str]]) -> list[tuple[Shard, str]]:
    """Do the jobs; the shards that were set aside, with the reason, in order."""
    failures = []
    with Meter("cleaning", sum(shard.size for shard, _ in jobs), c.log_interval) as meter:
        for done in local.work(ShardRunner, (c,), jobs, c.workers, c.attempts):
            shard, _ = done.item
            if done.failure is None:
                meter.advance(shard.size, *done.result)
            else:
                failures.append((shard, done.failure))
    return sorted(failures, key=lambda failure: failure[0].number)


def _added_up(c: SimpleNamespace, folder: pathlib.Path, jobs: list[tuple[Shard, str]]) -> tuple[Tally, float]:
    """The tally of all shards that are done, and the seconds that they took."""
    tally, seconds = empty_tally(c), 0.0
    for job in jobs:
        manifest = read_manifest(folder, *job)
        if manifest is not None:
            tally.update(Tally.from_dict(manifest["tally"]))
            seconds += manifest["seconds"]
    return tally, seconds


@contextmanager
def _locked(folder: pathlib.Path) -> Iterator[None]:
    """The output folder, ours and nobody else's meanwhile."""
    _ours(folder)
    try:
        lock = open(folder / ".lock", "w")
    except OSError as error:
        raise UserError(f"--output {folder}: cannot be written ({error.strerror})") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"--output {folder}: another run is at work there; wait for it, or name another folder") from None
        except OSError:
            pass  # a file system without locks
        yield


def _ours(folder: pathlib.Path) -> None:
    """Make the output folder, or see that it is one that a run made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = [path.name for path in folder.iterdir() if path.name != ".lock"]
    except OSError as error:
        raise UserError(f"--output {folder}: cannot be written ({error.strerror})") from None
    if others and not (folder / RECIPE).exists():
        raise UserError(f"--output {folder}: holds {sorted(others)[0]} and is no folder of ours; name an empty one")


def _sweep(folder: pathlib.Path, done: set[str]) -> None:
    """Remove what no finished shard stands for: an earlier configuration's, a killed run's, and the receipt of before."""
    for path in [*folder.glob("part-*"), *folder.glob("*/part-*"), *(folder / name for name in RECEIPTS)]:
        if path.name.partition(".")[0] not in done:
            path.unlink(missing_ok=True)
