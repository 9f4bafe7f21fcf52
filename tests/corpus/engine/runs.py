"""Runs of the tool for tests of engines and of ways to find duplicates: a corpus with copies in it, and what a run leaves."""

from __future__ import annotations

import json
import os
import pathlib
import random
import subprocess
import sys

import zstandard

from tests import texts

ROOT = pathlib.Path(__file__).resolve().parents[3]
TOOL = [sys.executable, str(ROOT / "tools" / "clean_corpus.py")]


def call(*arguments, timeout=110, **more) -> subprocess.CompletedProcess:
    return subprocess.run([*TOOL, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, **more)


def good(*arguments, **more) -> subprocess.CompletedProcess:
    done = call(*arguments, **more)
    assert done.returncode == 0, done.stderr
    return done


def environ() -> dict[str, str]:
    """Where processes that others start find this tree's package."""
    return os.environ | {"PYTHONPATH": str(ROOT)}


def lines(path: pathlib.Path) -> list[dict]:
    data = zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())
    return [json.loads(line) for line in data.splitlines()]


def kept(folder: pathlib.Path) -> list[dict]:
    return [line for part in sorted(folder.glob("part-*")) for line in lines(part)]


def rejects(folder: pathlib.Path, stage: str) -> list[dict]:
    return [line for part in sorted((folder / "rejects" / stage).glob("part-*")) for line in lines(part)]


def left(folder: pathlib.Path) -> dict:
    """All that a run leaves but how long it took: bytes of its files, and its receipt."""
    files = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("part-*"))}
    receipt = json.loads((folder / "receipt.json").read_text())
    del receipt["worker_seconds"]
    for step in receipt["steps"]:
        del step["seconds"]
    return {"files": files, "receipt": receipt}


def write(path: pathlib.Path, records: list[dict]) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
    return path


def corpus(folder: pathlib.Path, files: int = 6, documents: int = 120, seed: int = 0) -> list[dict]:
    """Files of real text in which every third document is a copy of an earlier one; the documents, in order."""
    draw, pieces = random.Random(seed), texts.library_texts(files * documents)
    made: list[dict] = []
    for file in range(files):
        here = []
        for number in range(documents):
            before = made + here
            text = draw.choice(before)["text"] if before and draw.random() < 1 / 3 else draw.choice(pieces)
            here.append({"id": f"{file}-{number}", "source": draw.choice(("web", "books")), "text": text})
        write(folder / f"{file}.jsonl", here)
        made += here
    return made


def plan_of(*arguments):
    """The plan of a command."""
    from megatron_ext.arguments.config import read
    from megatron_ext.corpus.engine.flags import groups
    from megatron_ext.corpus.engine.plan import Plan

    return Plan(read(groups(), list(map(str, arguments)), "clean_corpus.py", ""))


def here(*arguments) -> pathlib.Path:
    """A run in this process, job by job, stage by stage; its folder."""
    from megatron_ext.corpus.engine.stages import Runner

    plan = plan_of(*arguments)
    runner = Runner(plan.stages)
    for stage in plan.stages.values():
        for job in stage.waiting():
            runner(job)
        assert not stage.waiting()
    return plan.folder
