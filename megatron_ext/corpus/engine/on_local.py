"""`--engine local`: this machine's cores, `--workers` of them."""

from __future__ import annotations

from megatron_ext.corpus.engine.local import Workers
from megatron_ext.corpus.engine.plan import Plan
from megatron_ext.corpus.engine.schedule import Failures, stage_by_stage
from megatron_ext.corpus.engine.stages import Runner


def run(plan: Plan) -> Failures:
    with Workers(Runner, (plan.stages,), plan.c.workers, plan.c.attempts) as workers:
        return stage_by_stage(plan, lambda stage, jobs: workers.work(jobs))
