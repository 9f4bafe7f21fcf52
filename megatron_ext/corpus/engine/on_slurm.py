"""`--engine slurm`: an array of tasks a stage, each stage's after the one before; the call waits for them. Run where sbatch is.

Every task does a share of its stage's jobs with the command that anybody could type, `clean_corpus.py --recipe OUTPUT/recipe.yaml
--run-stage STAGE --run-shard N …`. SLURM puts the tasks of a node that fails back into the queue, where they do what is not done
yet. What is missing when all have ended is submitted anew, up to --attempts times. All nodes must see the run's folder, and have
the versions of packages that it was planned with: a task where they differ says so and does nothing.
"""

from __future__ import annotations

import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import time

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.engine.keys import versions
from megatron_ext.corpus.engine.plan import Plan
from megatron_ext.corpus.engine.schedule import Failures
from megatron_ext.corpus.engine.stages import Job, Stage
from megatron_ext.corpus.progress import Meter

TOOL = "clean_corpus.py"

POLL = 2.0
"""Seconds between two looks at the queue."""

SCRIPT = """#!/bin/bash
# Jobs of stage {stage}: of those in the list, the ones whose line has this task's number, modulo {tasks}.
cd {here}
exec {python} {tool} --recipe {recipe} --run-versions {versions} --run-stage {stage} \\
    --run-shard $(awk "NR % {tasks} == $SLURM_ARRAY_TASK_ID" {list})
"""


def run(plan: Plan) -> Failures:
    if shutil.which("sbatch") is None:
        raise UserError("--engine slurm: there is no sbatch here; run this on a node from which jobs are submitted")
    folder = plan.folder / "slurm"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    failures: Failures = []
    tasks = _most_tasks(plan.c.slurm_tasks)
    for attempt in range(plan.c.attempts):
        numbers: list[str] = []
        try:
            _submit(plan, folder / str(attempt), tasks, numbers)
            _wait(plan, numbers)
        except BaseException:
            if numbers:
                subprocess.run(["scancel", "--quiet", *numbers], capture_output=True)
            raise
        failures = _missing(plan, folder / str(attempt), tasks)
        if not failures:
            shutil.rmtree(folder)
            break
    return failures


def _most_tasks(asked: int) -> int:
    """Of an array: --slurm-tasks, or fewer where the cluster takes no more."""
    config = ""
    if shutil.which("scontrol"):
        config = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True).stdout
    told = re.search(r"^MaxArraySize\s*=\s*(\d+)", config, re.MULTILINE)
    most = int(told[1]) if told else asked
    if most < 1:
        raise UserError("--engine slurm: this cluster takes no job arrays (MaxArraySize = 0 in slurm.conf)")
    if asked > most:
        note = f"--slurm-tasks {asked}: this cluster's arrays have at most {most} tasks (MaxArraySize), which do more jobs each"
        print(f"{'note':>10}  {note}", file=sys.stderr, flush=True)
    return min(asked, most)


def _submit(plan: Plan, folder: pathlib.Path, tasks: int, numbers: list[str]) -> None:
    """Submit what waits, each stage to begin after the one before. Args: numbers: the arrays' are added to it."""
    anew = False
    for stage in plan.stages.values():
        jobs = list(stage.jobs) if anew else stage.waiting()
        anew = anew or bool(jobs)  # what later stages made of what is done again is of no use, and they see that for themselves
        if jobs:
            numbers.append(_submit_stage(plan, folder / stage.name, stage, jobs, tasks, numbers[-1:]))


def _submit_stage(plan: Plan, folder: pathlib.Path, stage: Stage, jobs: list[Job], most: int, after: list[str]) -> str:
    folder.mkdir(parents=True)
    here, tasks = folder.resolve(), min(most, len(jobs))
    (here / "jobs").write_text("".join(f"{job.number}\n" for job in jobs))
    tool = pathlib.Path(__file__).resolve().parents[3] / "tools" / TOOL
    quoted = dict(python=sys.executable, tool=tool, recipe=(plan.folder / "recipe.yaml").resolve(), list=here / "jobs")
    quoted = {name: shlex.quote(str(value)) for name, value in quoted.items()}
    quoted |= dict(here=shlex.quote(str(pathlib.Path.cwd())), versions=shlex.join(versions()))
    script = SCRIPT.format(stage=stage.name, tasks=tasks, **quoted)
    (here / "script.sh").write_text(script)
    command = ["sbatch", "--parsable", "--requeue", "--open-mode=append", f"--job-name={stage.name}", f"--array=0-{tasks - 1}"]
    logs = str(here).replace("%", "%%") + "/%a.log"
    command += [f"--output={logs}", *(f"--dependency=afterok:{number}" for number in after), "--kill-on-invalid-dep=yes"]
    done = subprocess.run([*command, *shlex.split(plan.c.slurm_options), str(here / "script.sh")], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"--engine slurm: sbatch refuses stage {stage.name}: {done.stderr.strip()}")
    return done.stdout.strip().partition(";")[0]


def _wait(plan: Plan, numbers: list[str]) -> None:
    """Until SLURM knows none of them as waiting or at work, showing how far they are."""
    stages = list(plan.stages.values())
    with Meter("on the cluster", sum(job.size for stage in stages for job in stage.jobs), seconds=plan.c.log_interval) as meter:
        told: set[tuple[str, int]] = set()
        while numbers and _in_queue(numbers):
            time.sleep(POLL)
            for stage in stages:
                for job in stage.jobs:
                    if (job.stage, job.number) not in told and (content := stage.manifest(job.number)):
                        told.add((job.stage, job.number))
                        meter.advance(job.size, content["text"], content["documents"])


def _in_queue(numbers: list[str]) -> bool:
    done = subprocess.run(["squeue", "--noheader", "--format=%i", f"--jobs={','.join(numbers)}"], capture_output=True, text=True)
    if done.returncode and "Invalid job id" not in done.stderr:
        return True  # the controller is away, which says nothing of the jobs
    return bool(done.stdout.strip())


def _missing(plan: Plan, folder: pathlib.Path, most: int) -> Failures:
    """Jobs of the first stage that is not done."""
    for stage in plan.stages.values():
        jobs = stage.waiting()
        if jobs:
            return [(job, _why(folder / stage.name, job, most)) for job in jobs]
    return []


def _why(folder: pathlib.Path, job: Job, most: int) -> str:
    """What its task said of it, or of itself."""
    for log in sorted(folder.glob("*.log")):
        for line in log.read_text(errors="replace").splitlines():
            if line.startswith(f"job {job.number}: "):
                return line.partition(": ")[2]
    try:
        numbers = (folder / "jobs").read_text().split()
        log = folder / f"{(numbers.index(str(job.number)) + 1) % min(most, len(numbers))}.log"
        said = [line for line in log.read_text(errors="replace").splitlines() if line.startswith(f"{TOOL}: ")]
    except (OSError, ValueError):
        said = []
    return said[-1].partition(": ")[2] if said else f"its task ended without a word of it; see {folder}"
