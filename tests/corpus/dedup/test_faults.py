"""All ways one behind the other: whatever is killed, and wherever a disk is full, the end is that of a run undisturbed."""

from __future__ import annotations

import functools
import os
import random
import resource
import signal
import subprocess
import time

import psutil
import pytest

from tests.corpus.engine.runs import TOOL, call, corpus, good, kept, left

WAYS = ("--dedup", "line", "exact", "minhash", "substring", "--minhash-threshold", "0.6")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    corpus(folder / "in", files=4, documents=40)
    flags = ["--input", folder / "in" / "*.jsonl", *WAYS, "--dedup-memory", "1e-3", "--workers", "2", "--log-interval", "0"]
    good(*flags, "--output", folder / "out")
    return flags, left(folder / "out")


def strike(process: subprocess.Popen, draw: random.Random, all_of_it: bool) -> None:
    """Kill the run, or a worker of it, at some moment."""
    time.sleep(1 + 2.5 * draw.random())
    try:
        workers = [each for each in psutil.Process(process.pid).children() if "spawn_main" in " ".join(each.cmdline())]
        if all_of_it:
            process.kill()
        elif workers:
            draw.choice(workers).kill()
    except psutil.NoSuchProcess:
        pass


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 10))])
def test_killed_at_random_moments(seed, undisturbed, tmp_path):
    flags, expected = undisturbed
    draw = random.Random(seed)
    for all_of_it in (True, False, True, False):
        command = [*TOOL, *map(str, flags), "--output", str(tmp_path), "--attempts", "20"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        strike(process, draw, all_of_it)
        _, said = process.communicate(timeout=110)
        assert process.returncode == (-signal.SIGKILL if all_of_it else 0) or (all_of_it and process.returncode == 0), said
    assert left(tmp_path) == expected
    assert not (tmp_path / "work").exists()


def test_a_full_disk_stops_the_run_and_the_same_command_goes_on(undisturbed, tmp_path):
    flags, expected = undisturbed
    for limit in (30_000, 90_000):  # bytes a file: not a shard's part; not its columns
        small = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit))
        full = call(*flags, "--output", tmp_path, preexec_fn=small)
        assert full.returncode == 1 and "cannot be written" in full.stderr and "Traceback" not in full.stderr
        assert not kept(tmp_path) and not (tmp_path / "receipt.json").exists()
    good(*flags, "--output", tmp_path)
    assert left(tmp_path) == expected


def test_more_input_does_only_what_is_new_where_work_was_kept(tmp_path):
    corpus(tmp_path / "in", files=3, documents=10)
    flags = ["--input", tmp_path / "in" / "*.jsonl", "--output", tmp_path / "out", *WAYS, "--keep-work", "--log-interval", "0"]
    good(*flags)
    signs = tmp_path / "out" / "work" / "line" / "sign"
    before = {path.name: path.stat().st_mtime_ns for path in signs.iterdir()}
    corpus(tmp_path / "more", files=1, documents=10, seed=1)
    os.rename(tmp_path / "more" / "0.jsonl", tmp_path / "in" / "9.jsonl")
    good(*flags)
    after = {path.name: path.stat().st_mtime_ns for path in signs.iterdir()}
    assert {name for name in after if after[name] != before.get(name)} == {"00003.safetensors"}
    flags[flags.index(tmp_path / "out")] = tmp_path / "anew"
    good(*flags)
    assert left(tmp_path / "out") == left(tmp_path / "anew")
