"""`--engine ray`: the nodes of a Ray cluster, or this machine where there is none. All must see the run's folder and its input.

A node or worker that dies takes its jobs with it; Ray does them again elsewhere, up to --attempts times. What a job
that was cut off had begun to write has another name than what is whole, so nothing is counted twice.
"""

from __future__ import annotations

import itertools
import os
import socket
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.engine.keys import check_versions, versions
from megatron_ext.corpus.engine.local import Done, StopAll
from megatron_ext.corpus.engine.plan import Plan
from megatron_ext.corpus.engine.schedule import Failures, stage_by_stage
from megatron_ext.corpus.engine.stages import Job, Runner, Stage

AHEAD = 2
"""Jobs a core that are handed to Ray at once: enough for all cores, few enough to see how far it is."""


def run(plan: Plan) -> Failures:
    ray = _ray()
    began = not ray.is_initialized()
    if began:
        _begin(ray, plan)
    try:
        stages = ray.put((uuid.uuid4().hex, plan.stages, versions()))
        return stage_by_stage(plan, lambda stage, jobs: _work(ray, stages, stage, jobs, plan.c))
    finally:
        if began:
            ray.shutdown()


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise UserError("--engine ray: Ray is not installed; pip install 'megatron-ext[ray]'") from None
    return ray


def _begin(ray: Any, plan: Plan) -> None:
    """Join the cluster of --ray-address (or RAY_ADDRESS), else start one of this machine's cores."""
    address = plan.c.ray_address or os.environ.get("RAY_ADDRESS")
    options = {"address": address} if address else {"num_cpus": plan.c.workers, "include_dashboard": False}
    try:
        host, colon, port = (address or "").rpartition(":")
        if colon and port.isdigit():  # Ray itself would go on trying for minutes
            socket.create_connection((host.rpartition("/")[2], int(port)), 10).close()
        ray.init(log_to_driver=False, logging_level="error", **options)
    except Exception as error:
        where = address or "this machine"
        raise UserError(f"--engine ray: there is no cluster to be reached at {where} ({error})") from None


def _work(ray: Any, stages: Any, stage: Stage, jobs: Sequence[Job], c: Any) -> Iterator[Done]:
    task = ray.remote(num_cpus=1, max_retries=c.attempts - 1, name=stage.name)(_do)
    waiting = iter(jobs)
    ahead = max(int(AHEAD * ray.cluster_resources().get("CPU", 1)), 1)
    at_work = {task.remote(stages, job): job for job in itertools.islice(waiting, ahead)}
    while at_work:
        [reference], _ = ray.wait(list(at_work), num_returns=1)
        job = at_work.pop(reference)
        yield _done(ray, reference, job)
        at_work |= {task.remote(stages, job): job for job in itertools.islice(waiting, 1)}


def _done(ray: Any, reference: Any, job: Job) -> Done:
    try:
        result, failure, stops = ray.get(reference)
    except ray.exceptions.RayError as error:
        if isinstance(error, ray.exceptions.RayTaskError):
            raise RuntimeError(f"in {job.where}: {error}") from None
        return Done(job, failure=f"its worker died, each time that it was begun ({str(error).splitlines()[0]})")
    if stops:
        raise StopAll(failure)
    return Done(job, result, failure)


_runners: dict[str, Runner] = {}  # this process's, by run: kept from one job to the next


def _do(stages: Any, job: Job) -> tuple[Any, str | None, bool]:
    """A job's result, or why there is none and whether that holds for all others."""
    run, by_name, planned = stages
    try:
        if run not in _runners:
            check_versions(planned)
            _runners.clear()
            _runners[run] = Runner(by_name)
        return _runners[run](job), None, False
    except UserError as error:
        return None, str(error), isinstance(error, StopAll)
