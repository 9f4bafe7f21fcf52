"""Flags of how a corpus is worked through."""

from __future__ import annotations

import os

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem


@flag_group("engine", "How the work is done, and where its results go")
class EngineFlags:
    output: str | None = flag(
        None, "folder of the clean corpus: part-*.jsonl, rejects/, receipt.html, receipt.json; a stopped run goes on", front=True
    )
    output_compression: str = flag("zstd", "of the files written", choices=("none", "gzip", "zstd"), front=True)
    text_key: str = flag("text", "key (or column) of the records that holds the text")
    rejects_with_text: bool = flag(False, "write the texts of what is dropped into rejects/, too", front=True)
    shard_size: float = flag(
        64.0, "MB of input that are done at once; larger files are cut where their format allows", least=0.001
    )
    workers: int | None = flag(None, "processes (default: one a core)", positive=True, front=True)
    attempts: int = flag(2, "times that a shard may end a worker before it is set aside", positive=True)
    engine: str = flag("local", "who does the work: this machine, a Ray cluster, or SLURM", choices=("local", "ray", "slurm"))
    ray_address: str | None = flag(
        None, "of the Ray cluster, `auto` for the one of this machine (default: RAY_ADDRESS, else one is started here)"
    )
    slurm_tasks: int = flag(100, "most tasks of a stage's array", positive=True)
    slurm_options: str = flag("", "options of sbatch for all tasks, such as '--partition=cpu --mem=8G --time=4:00:00'")
    run_shard: tuple[int, ...] = flag((), "do these jobs of a stage, by number, and nothing else", least=0)
    run_stage: str = flag("clean", "the stage that --run-shard is of; a wrong one names those that there are")
    run_versions: tuple[str, ...] = flag(
        (), "versions of packages that the run was planned with, as 'regex 2024.11.6'; where others are, no job is done"
    )
    log_interval: float = flag(10.0, "seconds between progress lines where stderr is not a terminal; 0: none", least=0)

    @staticmethod
    def resolve(c):
        if c.workers is None:
            c.workers = usable_cores()

    @staticmethod
    def check(c):
        if not c.output:
            yield Problem("--output", None, "is missing", "name the folder of the clean corpus")
        elif os.path.exists(c.output) and not os.path.isdir(c.output):
            yield Problem("--output", c.output, "is no folder", "name a folder")


def usable_cores() -> int:
    """Cores that this process may use, which on a cluster are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def groups() -> list[type]:
    """All of tools/clean_corpus.py."""
    from megatron_ext.corpus.cleaning import flags as cleaning
    from megatron_ext.corpus.flags import DocumentFlags, InputFlags
    from megatron_ext.corpus.matching import flags as matching

    return [InputFlags, DocumentFlags, EngineFlags, *cleaning.groups(), *matching.groups()]
