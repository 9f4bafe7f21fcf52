"""A whole corpus: planned, its jobs scheduled stage by stage, what became of its documents added up into one receipt.

Memory: a worker holds one document at a time, at most sources.LONGEST_RECORD of it, a few MB of lines to be written and its
rules' models; this process the shards' names and one tally. None of it grows with the input.
"""

from __future__ import annotations

import fcntl
import pathlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from megatron_ext.arguments.config import Config
from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.cleaning.steps import Cleaner, empty_tally
from megatron_ext.corpus.cleaning.tally import Tally
from megatron_ext.corpus.engine import local
from megatron_ext.corpus.engine.plan import Plan
from megatron_ext.corpus.engine.stages import Job, Runner, Stage
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
    start = time.monotonic()
    folder = pathlib.Path(config.engine.output)
    with _locked(folder):
        plan = Plan(config)
        Cleaner(plan.c)  # what cannot be built is found out here, not in every worker
        skipped = _sweep(plan)
        write_whole(folder / RECIPE, config.to_yaml())
        failures = _work(plan)
        tally, seconds = _added_up(plan)
        told = [f"{job.where}: {reason}" for job, reason in failures]
        warnings = write_receipt(f"{folder}/", plan.c, tally, len(plan.shards), seconds, told)
    if told:
        raise UserError(
            f"{len(told)} of {len(plan.shards)} shards were set aside, and their documents are missing from {folder}:\n"
            + "\n".join(f"  - {each}" for each in told)
            + "\nThe same command, once that is mended, does these and nothing else"
        )
    return Cleaned(tally, len(plan.shards), skipped, time.monotonic() - start, warnings)


def clean_one(config: Config, number: int) -> None:
    """One shard of a run, in this process: what a cluster's scheduler calls."""
    plan = Plan(config)
    jobs = next(iter(plan.stages.values())).jobs
    if number >= len(jobs):
        raise UserError(f"--run-shard {number}: the run has {len(jobs)} shards, 0 to {len(jobs) - 1}")
    _ours(plan.folder)
    write_whole(plan.folder / RECIPE, config.to_yaml())
    if jobs[number] in plan.stages[jobs[number].stage].waiting():
        Runner(plan.stages)(jobs[number])


def _work(plan: Plan) -> list[tuple[Job, str]]:
    """Do what waits, stage by stage; the jobs that were set aside, with the reason, in order. A stage in which there are some is
    the last."""
    for stage in plan.stages.values():
        failures = _stage(plan, stage)
        if failures:
            return sorted(failures, key=lambda failure: failure[0].number)
    return []


def _stage(plan: Plan, stage: Stage) -> list[tuple[Job, str]]:
    failures, jobs, c = [], stage.waiting(), plan.c
    with Meter(stage.name, sum(job.size for job in jobs), c.log_interval) as meter:
        for done in local.work(Runner, (plan.stages,), jobs, c.workers, c.attempts):
            if done.failure is None:
                meter.advance(done.item.size, *done.result)
            else:
                failures.append((done.item, done.failure))
    return failures


def _added_up(plan: Plan) -> tuple[Tally, float]:
    """The tally of all jobs that are done, and the seconds that they took."""
    tally, seconds = empty_tally(plan.c), 0.0
    for stage in plan.stages.values():
        for job in stage.jobs:
            manifest = stage.manifest(job.number)
            if manifest is not None:
                seconds += manifest["seconds"]
                tally.update(Tally.from_dict(manifest["tally"]))
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
        try:
            yield
        finally:  # what workers that were killed were writing
            for path in folder.rglob("*.partial"):
                path.unlink(missing_ok=True)


def _ours(folder: pathlib.Path) -> None:
    """Make the output folder, or see that it is one that a run made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = [path.name for path in folder.iterdir() if path.name != ".lock"]
    except OSError as error:
        raise UserError(f"--output {folder}: cannot be written ({error.strerror})") from None
    if others and not (folder / RECIPE).exists():
        raise UserError(f"--output {folder}: holds {sorted(others)[0]} and is no folder of ours; name an empty one")


def _sweep(plan: Plan) -> int:
    """Remove what no finished job stands for: an earlier configuration's, a killed run's, and the receipt of before. The shards
    that are done."""
    [stage] = plan.stages.values()
    done = {f"part-{job.number:05d}" for job in stage.jobs} - {f"part-{job.number:05d}" for job in stage.waiting()}
    folder = plan.folder
    for path in [*folder.glob("part-*"), *folder.glob("*/part-*"), *(folder / name for name in RECEIPTS)]:
        if path.name.partition(".")[0] not in done:
            path.unlink(missing_ok=True)
    return len(done)
