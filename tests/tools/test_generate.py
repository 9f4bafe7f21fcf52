"""tools/generate.py and tools/evaluate.py as they are called: under torchrun, from files into files, and interrupted."""

from __future__ import annotations

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests import texts
from tests.checkpoint.saved_run import save

ROOT = pathlib.Path(__file__).resolve().parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
SPREAD = ["--tensor-model-parallel-size", "2", "--pipeline-model-parallel-size", "2"]


@pytest.fixture(scope="module")
def run(pool, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    save(pool, folder, "--train-iters", "2", "--init-method-std", "0.3")
    return folder


def start(command, *argv):
    return subprocess.Popen(
        [*command, *map(str, argv), "--device", "cpu"], cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=hear_ctrl_c, start_new_session=True)  # fmt: skip


def finished(command, *argv):
    """`(stdout, stderr)` of a program that must succeed."""
    process = start(command, *argv)
    out, said = process.communicate(timeout=110)
    assert process.returncode == 0, said
    return out, said


def hear_ctrl_c():
    """A shell starts what runs in the background deaf to Ctrl-C, and these tests may be run so."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_a_middle_is_filled_in(pool, tmp_path):
    tokenizer = texts.write_tokenizer_with_control_tokens(tmp_path, 600)
    flags = ["--objective", "fill_in_middle", "--tokenizer-type", "huggingface", "--tokenizer-model", tokenizer]
    save(pool, tmp_path / "run", *flags, "--vocab-size", "600", "--train-iters", "1", "--seq-length", "64")
    ask = ["--load", tmp_path / "run", "--infill", "def add(", "return total", "--max-new-tokens", "5"]
    finished([sys.executable], "tools/generate.py", *ask, "--output", tmp_path / "middle.jsonl")
    (record,) = map(json.loads, (tmp_path / "middle.jsonl").read_text().splitlines())
    assert record["prompt"] == "def add(" and 0 < len(record["ids"]) <= 5
    process = start([sys.executable], "tools/generate.py", *ask[:4])
    assert process.wait(100) == 2 and "--infill: takes two texts, and there are 1" in process.stderr.read()


def test_a_file_of_prompts_on_four_processes_and_the_same_on_one(run, tmp_path):
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"question": text}) + "\n" for text in ("1 2 3", "44", "5 250 6 7 8 9 10 11 12 13")))
    flags = ["--load", run, "--prompts-file", prompts, "--prompt-key", "question", "--temperature", "2", "--num-samples", "2",
             "--max-new-tokens", "20", "--batch-size", "4", "--stop", " 17", "8 2", "--output"]  # fmt: skip
    out, said = finished([*TORCHRUN, "4"], "tools/generate.py", *flags, tmp_path / "four.jsonl", *SPREAD)
    assert out == ""
    records = [json.loads(line) for line in (tmp_path / "four.jsonl").read_text().splitlines()]
    assert [(record["number"], record["sample"]) for record in records] == [(n, s) for n in range(3) for s in range(2)]
    assert records[4]["prompt"] == "5 250 6 7 8 9 10 11 12 13"
    for record in records:
        whole = "".join(f" {token}" for token in record["ids"])
        assert whole.startswith(record["text"]) and (record["finish_reason"] == "stop") == (whole != record["text"])
        assert " 17" not in record["text"] and "8 2" not in record["text"]
    tokens = sum(len(record["ids"]) for record in records)
    assert re.search(rf"^{tokens} tokens in 6 text\(s\), [\d.]+ s: [\d.,]+ tokens/s$", said, re.MULTILINE)
    out, said = finished([sys.executable], "tools/generate.py", *flags, tmp_path / "one.jsonl")
    assert (out, len(said.splitlines())) == ("", 1)
    assert (tmp_path / "one.jsonl").read_text() == (tmp_path / "four.jsonl").read_text()


@pytest.mark.parametrize("launcher", [[sys.executable], [*TORCHRUN, "2"]], ids=["python", "torchrun"])
def test_ctrl_c_ends_all_ranks_quietly(launcher, run):
    layout = ["--pipeline-model-parallel-size", "2"] if len(launcher) > 1 else []
    argv = ["--load", run, "--prompt", "1", "--ignore-eod", "--max-new-tokens", "1000000", *layout]
    process = start(launcher, "tools/generate.py", *argv)
    try:
        assert process.stdout.read(20).startswith("1 ")
        everyone = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
        assert len(everyone) == (1 if len(launcher) == 1 else 3)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, said = process.communicate(timeout=30)
        assert process.returncode != 0
        assert "generate.py" not in "".join(re.findall(r'File "([^"]*)"', said)), said
        deadline = time.monotonic() + 10
        while any(map(psutil.pid_exists, everyone)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(map(psutil.pid_exists, everyone))
        if len(launcher) == 1:
            assert (process.returncode, said) == (-signal.SIGINT, "")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def table(launch, argv):
    """What tools/evaluate.py prints, of the rank that `launch` is."""
    import contextlib
    import io

    from tests.faults.bad_input import call

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status, problem = call(launch, "tools/evaluate.py", argv)
    assert status == 0, problem
    return said.getvalue()


@pytest.mark.parametrize(("world_size", "layout"), [(4, SPREAD), (3, []), (4, SPREAD[:2])], ids=["TP2.PP2", "DP3", "TP2.DP2"])
def test_evaluation_is_the_same_on_any_layout(world_size, layout, run, pool, tmp_path):
    documents = tmp_path / "held.jsonl"
    texts = [" ".join(str((7 * number + place) % 299) for place in range(10 + 9 * number)) for number in range(7)]
    documents.write_text("".join(json.dumps({"text": text, "source": "ab"[len(text) % 2]}) + "\n" for text in texts))
    argv = ["--load", str(run), "--documents", str(documents), "--device", "cpu", "--batch-size", "2"]
    expected = pool.run(table, 1, argv)[0]
    assert "bits/byte" in expected
    found = pool.run(table, world_size, [*argv, *layout])
    assert found == [expected, *[""] * (world_size - 1)]


@pytest.mark.parametrize(("layout", "says"), [
    (["--tensor-model-parallel-size", "3"], "--num-query-groups 2: is not a multiple of --tensor-model-parallel-size 3"),
    (["--pipeline-model-parallel-size", "3"], "--pipeline-model-parallel-size 3: does not divide the model's 2 layers"),
    (["--tensor-model-parallel-size", "2"], "does not divide the 3 process(es) of this run"),
])  # fmt: skip
def test_a_layout_that_cannot_be_is_said_once_and_no_rank_hangs(layout, says, run, pool):
    from tests.faults.bad_input import call

    found = pool.run(call, 3, "tools/generate.py", ["--load", str(run), "--prompt", "1", "--device", "cpu", *layout])
    assert [status for status, _ in found] == [2, 2, 2]
    assert says in found[0][1] and found[1][1] == found[2][1] == ""
