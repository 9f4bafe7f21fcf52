"""The command line as a person meets it: exit codes, one sentence, faults in the middle of a run, quick answers."""

import os
import pathlib
import resource
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests import texts

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = [sys.executable, str(ROOT / "tools" / "preprocess_data.py")]


def call(*arguments, **more):
    return subprocess.run([*TOOL, *map(str, arguments)], capture_output=True, text=True, timeout=60, **more)


@pytest.fixture
def prepared(tmp_path):
    """Arguments of a run over a small file, and the folder it writes to."""
    (tmp_path / "tokenizer.json").write_text(texts.byte_level_bpe_json())
    texts.write_jsonl(tmp_path / "a.jsonl", texts.library_texts())
    out = tmp_path / "out"
    out.mkdir()
    arguments = ["--input", tmp_path / "*.jsonl", "--tokenizer-model", tmp_path, "--output-prefix", out / "x", "--append-eod"]
    return arguments, out


@pytest.fixture
def long_run(prepared, tmp_path):
    """A run of two workers that takes long, some way into it; and the processes of its workers."""
    arguments, out = prepared
    (tmp_path / "tokenizer.json").write_text(texts.unigram_json())
    (tmp_path / "a.jsonl").write_bytes((tmp_path / "a.jsonl").read_bytes() * 200)
    process = subprocess.Popen(
        [*TOOL, *map(str, arguments), "--workers", "2"], stdout=-1, stderr=-1, text=True, preexec_fn=hear_ctrl_c
    )
    while not (out / "x_text_document.bin.partial").exists() or not len(workers_of(process)) == 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    time.sleep(1)
    yield process, out
    process.kill()
    process.communicate()
    (tmp_path / "a.jsonl").unlink()  # 30 MB that nobody wants to keep


def hear_ctrl_c():
    """A shell starts what runs in the background deaf to Ctrl-C, and these tests may be run so."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def workers_of(process):
    children = psutil.Process(process.pid).children()
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def gone(pids):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(psutil.pid_exists(pid) for pid in pids):
        time.sleep(0.05)
    return not any(psutil.pid_exists(pid) for pid in pids)


def test_a_run_and_what_it_says(prepared):
    arguments, out = prepared
    found = call(*arguments, "--workers", "2")
    assert (found.returncode, found.stderr) == (0, "")
    pair = [f"x_text_document.{end}" for end in ("bin", "idx", "json")]
    assert sorted(os.listdir(out)) == ["x_rejects.jsonl", "x_summary.json", *pair]
    for words in ("40 from 1 file", "rejected  0", "bytes/token", "MB/s", f"--data-path {out}/x_text_document"):
        assert words in found.stdout


def test_log_interval(prepared):
    found = call(*prepared[0], "--log-interval", "10", "--workers", "1")
    assert "tokenizing: 40 documents, 100%" in found.stderr


def test_strict(prepared, tmp_path):
    (tmp_path / "b.jsonl").write_text('{"text": "x"}\n{"text": 5}\n')
    found = call(*prepared[0], "--strict")
    assert (found.returncode, len(found.stderr.splitlines()), os.listdir(prepared[1])) == (1, 1, [])
    assert "b.jsonl, line 2: value not a text ('text' holds int); --strict stops here" in found.stderr


def test_a_killed_worker_is_named_in_seconds_and_nothing_is_left(long_run):
    process, out = long_run
    first, second = workers_of(process)
    start = time.monotonic()
    os.kill(first.pid, signal.SIGKILL)
    _, said = process.communicate(timeout=20)
    assert time.monotonic() - start < 10
    assert process.returncode == 1 and len(said.splitlines()) == 1
    assert f"(process {first.pid}) was killed by SIGKILL" in said
    assert os.listdir(out) == [] and gone([second.pid])


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "term"])
def test_an_interrupted_run_leaves_nothing(long_run, sent):
    process, out = long_run
    pids = [worker.pid for worker in workers_of(process)]
    process.send_signal(sent)
    _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (130, "preprocess_data.py: interrupted; no .bin and .idx were written\n")
    assert os.listdir(out) == [] and gone(pids)


def test_workers_do_not_outlive_a_killed_run_and_the_next_run_cleans_up(long_run, tmp_path):
    process, out = long_run
    pids = [worker.pid for worker in workers_of(process)]
    process.kill()
    process.wait()
    assert gone(pids)
    assert not any(name.endswith((".bin", ".idx")) for name in os.listdir(out))
    texts.write_jsonl(tmp_path / "a.jsonl", ["short"])
    assert call("--input", tmp_path / "a.jsonl", "--tokenizer-model", tmp_path, "--output-prefix", out / "x").returncode == 0
    assert not any(name.endswith(".partial") for name in os.listdir(out))


def test_a_full_disk_is_one_sentence_and_leaves_nothing(prepared):
    arguments, out = prepared
    found = call(*arguments, "--workers", "1", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)))
    assert (found.returncode, os.listdir(out)) == (1, [])
    assert found.stderr.endswith("x_text_document.bin: cannot be written (File too large)\n")


def test_all_problems_at_once(tmp_path):
    found = call("--input", tmp_path / "*.jsonl", "--tokenizer-model", tmp_path / "none", "--tiktoken-patern", "x")
    assert found.returncode == 2
    assert "did you mean --tiktoken-pattern?" in found.stderr
    found = call("--input", tmp_path / "*.jsonl", "--tokenizer-model", tmp_path / "none")
    for words in ("matches no file", "none: is not there", "--output-prefix: is missing", "3 problems"):
        assert words in found.stderr


def test_what_cannot_be_read_or_written_is_one_sentence(prepared, tmp_path):
    arguments, _ = prepared
    (tmp_path / "file").write_text("")
    found = call(*arguments, "--output-prefix", tmp_path / "file" / "x")
    assert found.returncode == 1 and "cannot be written" in found.stderr and len(found.stderr.splitlines()) == 1
    (tmp_path / "tokenizer.json").write_text("{}")
    found = call(*arguments)
    assert found.returncode == 1 and "is not a tokenizer.json" in found.stderr and len(found.stderr.splitlines()) == 1


def test_help_is_quick_and_no_run_needs_torch(prepared):
    start = time.monotonic()
    found = call("--help")
    assert found.returncode == 0 and "--output-prefix" in found.stdout
    assert time.monotonic() - start < 5  # about 0.2 s; this machine may be busy
    code = (
        "import sys; sys.argv[0] = 'x'; from tools.preprocess_data import main; code = main(sys.argv[1:]); "
        "assert not {'torch', 'megatron', 'transformers'} & set(sys.modules); sys.exit(code)"
    )
    command = [sys.executable, "-c", code, *map(str, prepared[0]), "--workers", "1"]
    found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert found.returncode == 0, found.stderr
