"""A run on a Ray cluster of two nodes leaves the bytes of a local one, also when a node dies in its middle."""

from __future__ import annotations

import subprocess
import time

import pytest

from megatron_ext.corpus.engine import on_ray
from megatron_ext.corpus.engine.keys import versions
from tests.corpus.engine.runs import TOOL, call, corpus, environ, good, left, plan_of, write

FLAGS = ("--scrub", "email", "phone_number", "secret", "--dedup", "exact", "--shard-size", "0.2", "--log-interval", "0")


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    folder = tmp_path_factory.mktemp("local")
    corpus(folder / "in", files=5, documents=150)
    flags = ["--input", folder / "in" / "*.jsonl", *FLAGS]
    good(*flags, "--output", folder / "out")
    return flags, left(folder / "out")


@pytest.fixture
def cluster():
    from ray.cluster_utils import Cluster

    options = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "env_vars": {"PYTHONPATH": environ()["PYTHONPATH"]}}
    made = Cluster(initialize_head=True, head_node_args=options)
    made.more = made.add_node(**options)
    made.wait_for_nodes()
    yield made
    made.shutdown()


def test_runs_in_one_process_do_not_mix(tmp_path):
    """The same configuration but for the folder, so that the keys of jobs are the same."""
    write(tmp_path / "in.jsonl", [{"text": "one"}])
    for name in ("a", "b", "a"):
        plan = plan_of("--input", tmp_path / "in.jsonl", "--output", tmp_path / name)
        assert on_ray._do((name, plan.stages, versions()), plan.stages["clean"].jobs[0])[1:] == (None, False)
    assert all((tmp_path / name / "part-00000.jsonl.zst").exists() for name in ("a", "b"))


def test_a_node_with_other_versions_is_told_and_does_nothing(tmp_path):
    write(tmp_path / "in.jsonl", [{"text": "one"}])
    plan = plan_of("--input", tmp_path / "in.jsonl", "--output", tmp_path / "out")
    _, failure, stops = on_ray._do(("a run", plan.stages, [*versions(), "newer 1"]), plan.stages["clean"].jobs[0])
    assert "has other versions than where the run was planned: newer missing and not 1" in failure and not stops
    assert not list(tmp_path.glob("out/**/*.json"))


@pytest.mark.timeout(300)
def test_a_node_dies_in_the_middle(local, cluster, tmp_path):
    flags, expected = local
    command = [*TOOL, *map(str, flags), "--output", str(tmp_path), "--engine", "ray", "--ray-address", cluster.address]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ())
    done = tmp_path / "manifests" / "clean"
    while len(list(done.glob("*.json"))) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    cluster.remove_node(cluster.more, allow_graceful=False)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    assert left(tmp_path) == expected


@pytest.mark.timeout(200)
def test_a_cluster_that_is_not_there_is_a_sentence(local, tmp_path):
    flags, _ = local
    done = call(*flags, "--output", tmp_path, "--engine", "ray", "--ray-address", "127.0.0.1:1", env=environ(), timeout=190)
    assert done.returncode == 1 and "--engine ray: there is no cluster to be reached at 127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_ray_a_sentence_says_so(tmp_path):
    (tmp_path / "ray.py").write_text("raise ImportError")
    path = {"PYTHONPATH": f"{tmp_path}:{environ()['PYTHONPATH']}"}
    flags = ["--input", write(tmp_path / "in.jsonl", [{"text": "one"}]), "--output", tmp_path / "out"]
    done = call(*flags, "--engine", "ray", env=environ() | path)
    assert (done.returncode, done.stderr) == (
        1, "clean_corpus.py: --engine ray: Ray is not installed; pip install 'megatron-ext[ray]'\n"
    )  # fmt: skip
    good(*flags)
