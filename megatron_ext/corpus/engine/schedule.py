"""Who does a run's jobs: `--engine` local, ray or slurm. All do the same jobs, so they leave the same bytes.

Each engine offers `run(plan)`: do what waits, stage by stage; the jobs that were set aside, with the reason. A stage in which
there are some is the last.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence

from megatron_ext.corpus.engine.local import Done
from megatron_ext.corpus.engine.plan import Plan
from megatron_ext.corpus.engine.stages import Job, Stage
from megatron_ext.corpus.progress import Meter

Failures = list[tuple[Job, str]]


def run(plan: Plan) -> Failures:
    *_, last = plan.stages.values()
    if not plan.writes.waiting() and not last.waiting():
        return []  # what lay between the stages is gone, and not needed
    failures = importlib.import_module(f"{__package__}.on_{plan.c.engine}").run(plan)
    return sorted(failures, key=lambda failure: failure[0].number)


def stage_by_stage(plan: Plan, work: Callable[[Stage, Sequence[Job]], Iterator[Done]]) -> Failures:
    """For engines that can be handed jobs one by one."""
    for stage in plan.stages.values():
        failures, jobs = [], stage.waiting()
        with Meter(stage.name, sum(job.size for job in jobs), seconds=plan.c.log_interval) as meter:
            for done in work(stage, jobs) if jobs else ():
                if done.failure is None:
                    meter.advance(done.item.size, *done.result)
                else:
                    failures.append((done.item, done.failure))
        if failures:
            return failures
    return []
