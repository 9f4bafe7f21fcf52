"""A corpus on a real SLURM cluster of two nodes: the bytes of a local run, also when a node goes down in the middle."""

from __future__ import annotations

import pathlib
import subprocess
import time

import pytest

from tests.corpus.engine.runs import TOOL, corpus, good, left

FLAGS = ("--scrub", "email", "phone_number", "secret", "--dedup", "exact", "--shard-size", "0.2", "--log-interval", "0")
CLUSTER = ("--engine", "slurm", "--slurm-tasks", "50", "--slurm-options", "--mem=200 --partition=tests")


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    folder = tmp_path_factory.mktemp("local")
    corpus(folder / "in", files=5, documents=150)
    flags = ["--input", folder / "in" / "*.jsonl", *FLAGS]
    good(*flags, "--output", folder / "out")
    return flags, left(folder / "out")


def begin(cluster, *arguments) -> subprocess.Popen:
    command = [*TOOL, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=cluster.environ)


def await_manifests(process: subprocess.Popen, folder: pathlib.Path, count: int) -> None:
    while len(list(folder.glob("*.json"))) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


@pytest.mark.timeout(300)
def test_a_node_goes_down_in_the_middle(cluster, local, tmp_path):
    flags, expected = local
    process = begin(cluster, *flags, "--output", tmp_path, *CLUSTER)
    try:
        await_manifests(process, tmp_path / "manifests" / "clean", 2)
        cluster.call("scontrol", "update", "nodename=n2", "state=down", "reason=test")
        time.sleep(2)  # it may come back by itself meanwhile
        cluster.call("scontrol", "update", "nodename=n2", "state=resume", check=False)
        _, said = process.communicate(timeout=250)
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert "this cluster's arrays have at most 3 tasks" in said
    assert left(tmp_path) == expected
    assert not (tmp_path / "slurm").exists() and not (tmp_path / "work").exists()


@pytest.mark.timeout(200)
def test_a_shard_that_fails_is_named(cluster, local, tmp_path):
    flags, _ = local
    broken = tmp_path / "broken.jsonl.gz"
    broken.write_bytes(b"no gzip at all")
    process = begin(cluster, "--input", broken, *flags[1:], "--output", tmp_path / "out", *CLUSTER, "--attempts", "1")
    _, said = process.communicate(timeout=190)
    assert process.returncode == 1 and "broken.jsonl.gz" in said and "is damaged or not what its ending says" in said
    assert "Traceback" not in said
