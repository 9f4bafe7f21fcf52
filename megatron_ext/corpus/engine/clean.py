"""A whole corpus: planned, its jobs scheduled stage by stage, what became of its documents added up into one receipt.

Memory: a worker holds one document at a time, at most sources.LONGEST_RECORD of it, a few MB of lines to be written and its
rules' models; this process the shards' names and one tally. None of it grows with the input. In the stages that look for
duplicates a worker holds what is known of one shard, or --dedup-memory.
"""

from __future__ import annotations

import contextlib
import fcntl
import pathlib
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from megatron_ext.arguments.config import Config
from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.cleaning.steps import Cleaner
from megatron_ext.corpus.cleaning.tally import Tally
from megatron_ext.corpus.engine.keys import check_versions
from megatron_ext.corpus.engine.local import StopAll
from megatron_ext.corpus.engine.plan import Plan
from megatron_ext.corpus.engine.schedule import run
from megatron_ext.corpus.engine.stages import MANIFESTS, Runner
from megatron_ext.corpus.matching.flags import WAYS
from megatron_ext.corpus.receipt.write import RECEIPTS, warnings_of, write_receipt
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
        _warn(plan.warnings)
        Cleaner(plan.c)  # what cannot be built is found out here, not in every worker
        skipped = _sweep(plan)
        write_whole(folder / RECIPE, _recipe(config))
        failures = run(plan)
        tally, seconds = _added_up(plan)
        told = [f"{job.where}: {reason}" for job, reason in failures]
        whole = not any(map(plan.writes.waits, range(len(plan.writes.jobs))))
        write_receipt(f"{folder}/", plan.c, tally, len(plan.shards), seconds, whole, [*told, *plan.warnings])
        if not failures and not plan.c.keep_work:
            shutil.rmtree(plan.work, ignore_errors=True)
    if told:
        raise UserError(_set_aside(plan, failures[0][0].stage, told, whole))
    return Cleaned(tally, len(plan.shards), skipped, time.monotonic() - start, warnings_of(tally, plan.c.dedup_priority))


def _warn(warnings: Sequence[str]) -> None:
    """Of many the first few: each shard may have one."""
    few = warnings if len(warnings) <= 4 else [*warnings[:3], f"{len(warnings) - 3:,} more such, in the receipt"]
    for warning in few:
        print(f"{'warning':>10}  {warning}", file=sys.stderr, flush=True)


def _set_aside(plan: Plan, stage: str, told: Sequence[str], whole: bool) -> str:
    """That jobs of a stage were, and what that means for the corpus."""
    if whole:
        what, so = f"jobs of stage {stage}", f"the corpus is whole without them, its receipt is not, in {plan.folder}"
    elif stage == plan.writes.name:
        what, so = "shards", f"their documents are missing from {plan.folder}"
    else:
        what, so = f"jobs of stage {stage}", f"there is no corpus yet in {plan.folder}"
    listed = "".join(f"\n  - {each}" for each in told)
    end = "\nThe same command, once that is mended, does these and nothing else"
    return f"{len(told)} of {len(plan.stages[stage].jobs)} {what} were set aside, and {so}:{listed}{end}"


def clean_some(config: Config, stage: str, numbers: Sequence[int]) -> None:
    """Some jobs of a run, in this process: what a cluster's scheduler calls. UserError: of the jobs that failed, once all were
    tried, a line each."""
    if config.engine.run_versions:
        check_versions(config.engine.run_versions)
    plan = Plan(config)
    if stage not in plan.stages:
        raise UserError(f"--run-stage {stage}: the run has the stages {', '.join(plan.stages)}")
    jobs = plan.stages[stage].jobs
    if max(numbers) >= len(jobs):
        raise UserError(f"--run-shard {max(numbers)}: stage {stage} has {len(jobs)} jobs, 0 to {len(jobs) - 1}")
    _ours(plan.folder)
    runner, failures = Runner(plan.stages), []
    for number in numbers:
        try:
            if plan.stages[stage].waits(number):
                runner(jobs[number])
        except StopAll:
            raise
        except UserError as error:
            failures.append(f"job {number}: {error}")
    if failures:
        raise UserError(f"{len(failures)} of {len(numbers)} jobs of stage {stage} failed:\n" + "\n".join(failures))


def _added_up(plan: Plan) -> tuple[Tally, float]:
    """The tally of all jobs that are done, and the seconds that they took; those of all of a way's stages are its step's."""
    whole, seconds, before = None, 0.0, 0.0
    for stage in plan.stages.values():
        tally = stage.tally()
        done = [manifest for job in stage.jobs if (manifest := stage.manifest(job.number))]
        if whole is not None and len(done) < len(stage.jobs):
            break  # it has not come so far
        spent = sum(manifest["seconds"] for manifest in done)
        seconds += spent
        for manifest in done if tally else ():
            tally.update(Tally.from_dict(manifest["tally"]))
        if whole is None:
            whole = tally
        elif tally:
            tally.steps[0].seconds, before = before + spent, 0.0
            whole.then(tally)
        elif stage.name.partition(".")[0] == whole.steps[-1].name:
            whole.steps[-1].seconds += spent
        else:
            before += spent
        stage.complete(whole)
    return whole, seconds


def _recipe(config: Config) -> str:
    return config.to_yaml(without=("run_stage", "run_shard", "run_versions"))


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
    """Make the output folder, or see that it is one that a run made: then it has `manifests/`, which comes before all else."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = [path.name for path in folder.iterdir() if path.name != ".lock"]
        if not others:
            (folder / MANIFESTS).mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"--output {folder}: cannot be written ({error.strerror})") from None
    if others and not (folder / MANIFESTS).is_dir():
        raise UserError(f"--output {folder}: holds {sorted(others)[0]} and is no folder of ours; name an empty one")


def _sweep(plan: Plan) -> int:
    """Remove what no finished job stands for: an earlier configuration's, a killed run's, and the receipt of before. The shards
    that are done."""
    done = [(stage, job.number) for stage in plan.stages.values() for job in stage.jobs if stage.is_done(job.number)]
    ours = {path for stage, number in done for path in (stage.manifest_path(number), *stage.files(number))}
    folder = plan.folder
    ours_below = ("work", "rejects", "slurm", MANIFESTS)
    below = [path for name in ours_below for path in sorted((folder / name).rglob("*"), reverse=True)]
    besides = [name for way in WAYS for name in getattr(WAYS.load(way), "LEAVES", ())]
    for path in [*folder.glob("part-*"), *(folder / name for name in (*RECEIPTS, *besides)), *below]:
        if path.is_dir():
            with contextlib.suppress(OSError):
                path.rmdir()  # where nothing is left in it
        elif path not in ours:
            path.unlink(missing_ok=True)
    return sum(stage is plan.writes for stage, _ in done)
