"""The main job end to end through the real programs, in miniature: text → tokenizer → .bin/.idx → torchrun → resume → text.

Real text: modules of Python's own library. Tensor parallelism over torchrun first, then the same run on one process.
"""

from __future__ import annotations

import json
import math
import os
import pathlib
import re
import subprocess
import sys
import sysconfig

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TRAIN = (
    "--preset tiny --seq-length 64 --micro-batch-size 4 --global-batch-size 8 --log-interval 15 --eval-interval 45 "
    "--eval-iters 2 --train-iters 90 --lr 1e-2 --device cpu"
).split()


def python(*argv, launcher=()):
    """Run a program of the project; its output. A failure shows what it printed."""
    environ = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launcher, *map(str, argv)]
    result = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=110)
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A tokenizer and a tokenised data set of some of Python's own modules, by the project's tools."""
    folder = tmp_path_factory.mktemp("main")
    modules = sorted(pathlib.Path(sysconfig.get_path("stdlib")).glob("*.py"))[:60]
    with open(folder / "code.jsonl", "w", encoding="utf-8") as file:
        for path in modules:
            file.write(json.dumps({"text": path.read_text(encoding="utf-8"), "source": "code"}) + "\n")
    python("tools/train_tokenizer.py", "--input", folder / "code.jsonl", "--vocab-size", "600", "--output", folder / "tokenizer")
    python("tools/preprocess_data.py", "--input", folder / "code.jsonl", "--output-prefix", folder / "code",
           "--tokenizer-model", folder / "tokenizer", "--append-eod", "--workers", "2")  # fmt: skip
    return folder


def test_from_text_to_text(data):
    run = data / "run"
    train = ["pretrain_gpt.py", *TRAIN, "--data-path", data / "code_text_document", "--split", "90,10",
             "--tokenizer-model", data / "tokenizer", "--save", run]  # fmt: skip
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    first = python(*train, "--exit-interval", "45", "--tensor-model-parallel-size", "2", "--sequence-parallel", launcher=torchrun)
    assert "starting from the seed" in first and "stopped by --exit-interval 45" in first
    second = python(*train)
    assert "resuming after iteration 45" in second
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [record["iteration"] for record in records] == [15, 30, 45, 60, 75, 90]
    assert records[-1]["loss"] < math.log(600) - 1.0, "not a nat below the uniform guess that it starts from"
    assert records[-1]["eval_bits_per_byte"] < 5.0

    held = ["--documents", data / "code.jsonl", "--max-documents", "5"]
    table = python("tools/evaluate.py", "--load", run, *held, "--device", "cpu", "--json", data / "scores.json")
    bits = float(re.search(r"code.*", table).group().split("│")[-3])
    assert 1.0 < bits < 5.0
    found = json.loads((data / "scores.json").read_text())["sources"]["code"]
    assert found["documents"] == 5 and round(found["bits_per_byte"], 3) == bits
    assert found["bits_per_byte"] == pytest.approx(found["nats"] / math.log(2) / found["bytes"])
    text = python("tools/generate.py", "--load", run, "--device", "cpu", "--max-new-tokens", "8", "--prompt", "def f(", "import ")
    assert text.startswith("def f(") and "\nimport " in text
    assert text == python("tools/generate.py", "--load", run / "iter_0000090", "--device", "cpu", "--max-new-tokens", "8",
                          "--prompt", "def f(", "import ")  # fmt: skip


def test_run_yaml_gives_the_same_run(data):
    """A run's configuration can be passed back; the losses are the same."""
    base = ["pretrain_gpt.py", *TRAIN[:-4], "--train-iters", "2", "--device", "cpu", "--log-interval", "1", "--data-path",
            data / "code_text_document", "--tokenizer-model", data / "tokenizer"]  # fmt: skip
    python(*base, "--save", data / "a")
    python("pretrain_gpt.py", "--config", data / "a" / "run.yaml", "--save", data / "b")
    losses = [[json.loads(line)["loss"] for line in (data / name / "metrics.jsonl").read_text().splitlines()] for name in "ab"]
    assert losses[0] == losses[1]


@pytest.mark.parametrize(("program", "argv", "says"), [
    ("pretrain_gpt.py", ["--preset", "tiny", "--train-iters", "1", "--data-path", "nowhere", "--vocab-size", "9"],
     "nowhere.idx does not exist"),
    ("tools/generate.py", ["--load", "nowhere", "--prompt", "a"], "there is no checkpoint in this folder"),
    ("tools/evaluate.py", ["--load", "nowhere", "--documents", "nowhere.jsonl"], "--documents nowhere.jsonl: cannot be read"),
    ("pretrain_gpt.py", ["--preset", "tiny", "--mock-data", "--tensor-model-parallel-size", "2"], "torchrun --nproc-per-node 2"),
])  # fmt: skip
def test_bad_input_is_one_clear_sentence(program, argv, says, tmp_path):
    command = [sys.executable, str(ROOT / program), *argv]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert result.returncode != 0
    assert says in result.stderr and "Traceback" not in result.stderr
