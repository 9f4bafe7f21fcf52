"""One run folder, another number of processes and another layout each time: the losses are those of the run on one process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.training.configuration import read_configuration
from tests.faults.test_kill import ROOT
from tests.layouts.training_case import outcome

RUN = (
    "--preset tiny --mock-data --vocab-size 300 --train-iters 20 --global-batch-size 8 --micro-batch-size 2 --seq-length 32 "
    "--log-interval 1 --device cpu --adam-eps 1e-6"
).split()
TP2 = ["--tensor-model-parallel-size", "2", "--sequence-parallel"]
PP2 = ["--pipeline-model-parallel-size", "2"]
# Processes, flags, and the update to stop at: 1, 4, 2 and 4 processes in turn.
CHAIN = [(1, [], 4), (4, [*TP2, "--zero-stage", "1"], 8), (2, PP2, 12), (4, [*TP2, *PP2], 16), (2, ["--zero-stage", "1"], 20)]


@pytest.fixture(scope="module")
def straight(pool, tmp_path_factory):
    """Records of the run on one process."""
    return outcome(pool, RUN, 1, tmp_path_factory.mktemp("straight")).records


def assert_same_losses(found: list[dict], expected: list[dict]) -> None:
    assert [record["iteration"] for record in found] == [record["iteration"] for record in expected]
    for ours, theirs in zip(found, expected):
        for key in ("loss", "grad_norm"):
            assert ours[key] == pytest.approx(theirs[key], rel=1e-5), f"{key} of iteration {theirs['iteration']}"


def test_a_chain_of_layouts_in_one_folder(pool, straight, tmp_path):
    for world_size, layout, until in CHAIN:
        run = outcome(pool, [*RUN, *layout, "--exit-interval", str(until)], world_size, tmp_path)
        assert len(run.records) == until
    assert_same_losses(run.records, straight)


def torchrun(processes: int, *flags: str) -> str:
    """The real program; what it printed."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)] if processes > 1 else []
    command = [sys.executable, *launcher, str(ROOT / "pretrain_gpt.py"), *RUN, *flags]
    ran = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=200)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.parametrize("chain", [
    pytest.param([(2, TP2, 8), (1, [], 20)], id="2, 1"),
    pytest.param([(1, [], 4), (4, [*TP2, *PP2], 8), (2, ["--zero-stage", "1"], 12), (4, PP2, 20)], id="1, 4, 2, 4",
                 marks=[pytest.mark.full, pytest.mark.timeout(600)]),
])  # fmt: skip
def test_a_chain_of_launches(chain, straight, tmp_path):
    before = 0
    for processes, layout, until in chain:
        said = torchrun(processes, *layout, "--save", str(tmp_path / "run"), "--exit-interval", str(until))
        assert re.search(
            f"on {processes} process.*" + (f"resuming after iteration {before}" if before else "from the seed"), said
        )
        before = until
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert_same_losses(records, straight)


@pytest.mark.parametrize(("processes", "flags", "sentence"), [
    (3, [], "--global-batch-size 8: is not a multiple of --micro-batch-size 2 × 3 data-parallel"),
    (8, [], "--global-batch-size 8: is not a multiple of --micro-batch-size 2 × 8 data-parallel"),
    (2, ["--tensor-model-parallel-size", "4"], "does not divide the 2 process"),
])  # fmt: skip
def test_a_layout_that_does_not_fit_the_batch_is_refused(processes, flags, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        read_configuration([*RUN, *flags], processes)
