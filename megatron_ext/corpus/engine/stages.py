"""Stages: what is done to a whole corpus, one behind the other, each as jobs that know nothing of each other.

A job reads what earlier stages left in the run's folder and writes files of its own, which get their names when they are whole;
last of all `manifests/STAGE/00012.json` says what it did. It is done where its manifest has its key, so a run that was stopped
goes on in the middle, whoever schedules the jobs. A stage begins when all jobs of those before it are done.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import json
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.cleaning.tally import Tally
from megatron_ext.corpus.engine.local import StopAll
from megatron_ext.corpus.whole_file import write_whole

MANIFESTS = "manifests"


@dataclasses.dataclass(frozen=True)
class Job:
    """One piece of a stage, as schedulers see it.

    Attributes:
        key: what its result depends on, as one word.
        size: bytes that it looks at, about. where: what to call it when it fails.
    """

    stage: str
    number: int
    key: str
    size: int
    where: str


class Stage(abc.ABC):
    """Attributes: name; jobs; folder: the run's."""

    name: str
    jobs: Sequence[Job]
    folder: pathlib.Path

    @abc.abstractmethod
    def worker(self) -> Any:
        """What does jobs, made once in each process: called with a job's number it gives what its manifest is to hold, at least
        `text` (bytes of text that it went through) and `documents`."""

    @abc.abstractmethod
    def files(self, number: int) -> list[pathlib.Path]:
        """What a job writes, but its manifest."""

    def tally(self) -> Tally | None:
        """Of a stage that writes documents, what its jobs' tallies are added to."""
        return None

    def complete(self, tally: Tally) -> None:  # noqa: B027
        """Add to the run's tally, which goes as far as this stage, what the stage knows besides."""

    def done(self, number: int) -> dict[str, Any]:
        """What a job left. UserError where it is not done: a scheduler called a later one too early."""
        content = self.manifest(number)
        if content is None:
            raise UserError(f"{self.folder}: job {number} of stage {self.name} is not done yet; do it first")
        return content

    def manifest(self, number: int) -> dict[str, Any] | None:
        """What a job left, None where it is not done, or was done with another key."""
        job = self.jobs[number]
        try:
            content = json.loads(self.manifest_path(number).read_bytes())
        except (OSError, ValueError):
            return None
        return content if content.get("key") == job.key else None

    def manifest_path(self, number: int) -> pathlib.Path:
        return self.folder / MANIFESTS / self.name / f"{number:05d}.json"

    def waiting(self) -> list[Job]:
        """Jobs that are not done, or whose files are gone."""
        return [job for job in self.jobs if self.waits(job.number)]

    def waits(self, number: int) -> bool:
        return not self.is_done(number) or not all(map(pathlib.Path.exists, self.files(number)))

    def is_done(self, number: int) -> bool:
        return self.manifest(number) is not None


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Around what is written into the run's folder: no space for this job is none for the others."""
    try:
        yield
    except UserError as error:
        raise StopAll(str(error)) from None


class Runner:
    """Does jobs of any stage, in this process; bytes of text and documents that one went through. StopAll: the folder cannot be
    written, which no other job could, either."""

    def __init__(self, stages: Mapping[str, Stage]):
        self._stages = stages
        self._workers: dict[str, Any] = {}

    def __call__(self, job: Job) -> tuple[int, int]:
        stage, start = self._stages[job.stage], time.monotonic()
        if job.stage not in self._workers:
            self._workers = {job.stage: stage.worker()}  # one at a time: they may hold models and indexes
        try:
            content = self._workers[job.stage](job.number)
            written = {"key": job.key, "where": job.where, "seconds": time.monotonic() - start, **content}
            with writing():
                write_whole(stage.manifest_path(job.number), json.dumps(written) + "\n")
        except MemoryError as error:
            told = f"{job.where}: there is not enough memory ({error or 'no more is given'})"
            raise UserError(f"{told}; give it fewer --workers, a smaller --shard-size or --dedup-memory") from None
        except OSError as error:
            raise StopAll(f"{stage.folder}: cannot be written ({error.strerror or error})") from None
        return content["text"], content["documents"]
