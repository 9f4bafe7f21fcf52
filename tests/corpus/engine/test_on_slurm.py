"""What is submitted, to an `sbatch` that does an array's tasks one by one at once; a real SLURM is not everywhere."""

import os
import pathlib
import shlex
import socket
import sys

import pytest

from tests.corpus.engine.runs import call, corpus, good, left

SBATCH = f"""#!{sys.executable}
import os, pathlib, re, subprocess, sys
*options, script = sys.argv[1:]
said = dict(option.lstrip("-").split("=", 1) for option in options if "=" in option)
with open(os.environ["SUBMITTED"], "a") as file:
    print(said["job-name"], file=file)
number = len(pathlib.Path(os.environ["SUBMITTED"]).read_text().splitlines())
if said["job-name"] == os.environ.get("REFUSE"):
    sys.exit("sbatch: error: no such partition")
for task in range(int(said["array"].partition("-")[2]) + 1):
    with open(said["output"].replace("%%", "\\0").replace("%a", str(task)).replace("\\0", "%"), "a") as log:
        environ = os.environ | {{"SLURM_ARRAY_TASK_ID": str(task)}}
        environ["PYTHONPATH"] = os.environ.get("ON_NODES", "")
        subprocess.run(["bash", script], env=environ, stdout=log, stderr=log)
print(number)
"""


@pytest.fixture
def cluster(tmp_path):
    """The environment with such commands before all others, and where they write what they were called with."""
    commands = tmp_path / "bin"
    commands.mkdir()
    said = {name: tmp_path / name for name in ("submitted", "cancelled")}
    scontrol = "#!/bin/sh\necho MaxAccountCount = 1\necho MaxArraySize            = ${MOST:-1001}\n"
    scancel = f"#!/bin/sh\necho $@ >> {shlex.quote(str(said['cancelled']))}\n"
    for name, content in (("sbatch", SBATCH), ("squeue", "#!/bin/sh\n"), ("scancel", scancel), ("scontrol", scontrol)):
        (commands / name).write_text(content)
        (commands / name).chmod(0o755)
    return os.environ | {"PATH": f"{commands}:{os.environ['PATH']}", "SUBMITTED": str(said["submitted"])}, said


def test_whatever_a_folder_is_called(cluster, tmp_path):
    corpus(tmp_path / "in", files=3, documents=20)
    environment, said = cluster
    odd = tmp_path / """50%a of 'it' "or" $HOME\\ `x` {y}"""
    flags = ["--input", "in/*.jsonl", "--dedup", "exact", "--workers", "1"]
    good(*flags, "--output", "plain", cwd=tmp_path)
    good(*flags, "--output", odd.name, "--engine", "slurm", "--slurm-tasks", "2", cwd=tmp_path, env=environment)
    assert said["submitted"].read_text().split() == ["clean", "exact.sign", "exact.find", "exact", "exact.pairs"]
    assert left(odd) == left(tmp_path / "plain")
    assert not said["cancelled"].exists() and not pathlib.Path(odd, "slurm").exists()


def test_what_was_submitted_is_cancelled_where_a_later_stage_is_refused(cluster, tmp_path):
    corpus(tmp_path / "in", files=2, documents=20)
    environment, said = cluster
    flags = ["--input", "in/*.jsonl", "--dedup", "exact", "--output", "out", "--engine", "slurm"]
    done = call(*flags, cwd=tmp_path, env=environment | {"REFUSE": "exact.find"})
    assert done.returncode == 1 and "sbatch refuses stage exact.find" in done.stderr and "no such partition" in done.stderr
    assert said["cancelled"].read_text().split() == ["--quiet", "1", "2"]


def test_an_array_is_no_longer_than_the_cluster_takes(cluster, tmp_path):
    corpus(tmp_path / "in", files=5, documents=4)
    environment, _ = cluster
    flags = ["--input", "in/*.jsonl", "--workers", "1"]
    good(*flags, "--output", "plain", cwd=tmp_path)
    asked = [*flags, "--output", "out", "--engine", "slurm", "--slurm-tasks", "4"]
    done = good(*asked, cwd=tmp_path, env=environment | {"MOST": "3"})
    assert "--slurm-tasks 4: this cluster's arrays have at most 3 tasks (MaxArraySize)" in done.stderr
    assert left(tmp_path / "out") == left(tmp_path / "plain")
    assert "MaxArraySize" not in good(*asked, "--source", "new", cwd=tmp_path, env=environment | {"MOST": "4"}).stderr


def test_nodes_with_other_versions_are_told_in_words(cluster, tmp_path):
    """Their jobs would have other keys, and count as not done whatever they did."""
    corpus(tmp_path / "in", files=3, documents=4)
    environment, _ = cluster
    other = tmp_path / "node" / "regex-2020.1.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: regex\nVersion: 2020.1.1\n")
    flags = ["--input", "in/*.jsonl", "--output", "out", "--engine", "slurm", "--slurm-tasks", "2", "--attempts", "1"]
    done = call(*flags, cwd=tmp_path, env=environment | {"ON_NODES": str(other.parent)})
    assert done.returncode == 1 and "Traceback" not in done.stderr
    said = "has other versions than where the run was planned: regex 2020.1.1 and not "
    assert done.stderr.count(said) == 3 and f"in.jsonl (part-00000): {socket.gethostname()}: {said}" in done.stderr.replace(
        "in/0", "in"
    )
    assert not list((tmp_path / "out" / "manifests").rglob("*.json"))
    good(*flags, cwd=tmp_path, env=environment)
