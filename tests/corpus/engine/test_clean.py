"""A corpus comes out in order and unaltered, whatever happened on the way: killed workers and runs, full disks, broken input."""

import gzip
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tests import texts

ROOT = pathlib.Path(__file__).resolve().parents[3]
TOOL = [sys.executable, str(ROOT / "tools" / "clean_corpus.py")]


def call(*arguments, timeout=100, **more):
    return subprocess.run([*TOOL, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, **more)


def good(*arguments, **more):
    done = call(*arguments, **more)
    assert done.returncode == 0, done.stderr
    return done


def lines(path: pathlib.Path) -> list[bytes]:
    data = path.read_bytes()
    if path.name.endswith(".zst"):
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    elif path.name.endswith(".gz"):
        data = gzip.decompress(data)
    return data.splitlines()


def kept(folder: pathlib.Path) -> list[dict]:
    return [json.loads(line) for part in sorted(folder.glob("part-*")) for line in lines(part)]


def rejects(folder: pathlib.Path) -> list[dict]:
    return [json.loads(line) for part in sorted(folder.glob("rejects/part-*")) for line in lines(part)]


def result(folder: pathlib.Path) -> dict:
    """All that a run leaves but how long it took."""
    files = sorted([*folder.glob("part-*"), *folder.glob("rejects/part-*")])
    parts = {str(path.relative_to(folder)): lines(path) for path in files}
    receipt = json.loads((folder / "receipt.json").read_text())
    del receipt["worker_seconds"]
    for step in receipt["steps"]:
        del step["seconds"]
    assert not list(folder.rglob("*.partial"))
    return {"parts": parts, "receipt": receipt}


def corpus(folder: pathlib.Path, files=6, copies=4) -> list[pathlib.Path]:
    """Files of real text, every third document with an address in it, every fifth with an id and a source."""
    folder.mkdir(exist_ok=True)
    made, number = [], 0
    for file in range(files):
        made.append(folder / f"{file}.jsonl")
        with open(made[-1], "w") as out:
            for text in texts.library_texts(40) * copies:
                record = {"text": text + " write to jane.doe@company.com" * (number % 3 == 0)}
                record |= {"id": f"n{number}", "source": "library"} if number % 5 == 0 else {}
                record |= {"text": "  "} if number % 11 == 0 else {}
                out.write(json.dumps(record | {"number": number, "weight": 1e5}) + "\n")
                number += 1
    return made


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Input, flags, and what an undisturbed run gives."""
    folder = tmp_path_factory.mktemp("real")
    files = corpus(folder / "in")
    flags = ["--input", folder / "in" / "*.jsonl", "--scrub", "email", "--workers", "2"]
    good(*flags, "--output", folder / "clean")
    return files, flags, result(folder / "clean"), folder / "clean"


def test_order_ids_and_bytes_are_kept(real):
    files, _, found, folder = real
    read = [line for file in files for line in file.read_bytes().splitlines()]
    documents, written = (
        [json.loads(line) for line in read],
        [line for part in sorted(found["parts"]) if "/" not in part for line in found["parts"][part]],
    )
    used = [(line, value) for line, value in zip(read, documents) if value["text"].strip()]
    assert len(written) == len(used)
    for line, (before, value) in zip(written, used):
        after = json.loads(line)
        assert after["number"] == value["number"]
        assert after["id"] == value.get("id", after["id"]) and after["source"]
        if "jane.doe@" in value["text"]:
            assert after["text"].endswith(" write to <EMAIL>")
        if "<EMAIL>" not in after["text"]:
            assert line.endswith(before[1:]), "what no step edits stays as it was, byte for byte"
    assert len({json.loads(line)["id"] for line in written}) == len(written)
    assert [each["reason"] for each in rejects(folder)] == ["empty"] * (len(read) - len(used))


def test_the_receipt_adds_up(real):
    files, _, found, folder = real
    receipt = found["receipt"]
    reading, scrub = receipt["steps"]
    assert receipt["whole"] and receipt["shards"] == len(files)
    assert receipt["kept"] == [len(kept(folder)), sum(len(each["text"].encode()) for each in kept(folder))]
    assert reading["documents"] == receipt["kept"][0] + reading["dropped"]["empty"][0] == 240 * 4
    assert scrub["found"] == {"email": sum(each["text"].count("<EMAIL>") for each in kept(folder))}
    assert scrub["edited"] == sum("<EMAIL>" in each["text"] for each in kept(folder)) > 240 * 4 / 4
    assert scrub["removed"] == reading["bytes"] - receipt["kept"][1] > 0
    page = (folder / "receipt.html").read_text()
    assert "not whole" not in page and "<svg" in page and f"{receipt['kept'][0]:,} documents" in page


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_other_ways_to_write_hold_the_same(compression, real, tmp_path):
    _, flags, found, _ = real
    good(*flags, "--output", tmp_path, "--output-compression", compression, "--workers", "1")
    assert list(result(tmp_path)["parts"].values()) == list(found["parts"].values())


def test_shard_by_shard_is_the_same_run(real, tmp_path):
    """What a cluster's scheduler does: one command a shard, and at the end one that finds all of them done."""
    files, flags, found, _ = real
    for number in reversed(range(len(files))):
        good(*flags, "--output", tmp_path, "--run-shard", number)
    assert f"{len(files)} of them done before" in good(*flags, "--output", tmp_path).stdout
    assert result(tmp_path) == found
    beyond = call(*flags, "--output", tmp_path, "--run-shard", len(files))
    assert beyond.returncode == 1 and f"--run-shard {len(files)}: stage clean has {len(files)} jobs" in beyond.stderr


def begin(*arguments):
    return subprocess.Popen([*TOOL, *map(str, arguments)], stdout=-1, stderr=-1, text=True, preexec_fn=hear_ctrl_c)


def hear_ctrl_c():
    """A shell starts what runs in the background deaf to Ctrl-C, and these tests may be run so."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def await_its_start(process, folder: pathlib.Path) -> None:
    deadline, before = time.monotonic() + 30, time.time_ns()
    while not (folder / "recipe.yaml").exists() or (folder / "recipe.yaml").stat().st_mtime_ns < before - 10**9:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)


def workers_of(process) -> list[psutil.Process]:
    try:
        return [each for each in psutil.Process(process.pid).children() if "spawn_main" in " ".join(each.cmdline())]
    except psutil.NoSuchProcess:
        return []


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 20))])
def test_workers_killed_at_random_moments(seed, real, tmp_path):
    _, flags, found, _ = real
    draw = random.Random(seed)
    process = begin(*flags, "--output", tmp_path, "--attempts", "50")
    for _ in range(3):
        time.sleep(0.3 + draw.random())
        for victim in draw.sample(workers_of(process), min(1, len(workers_of(process)))):
            victim.kill()
    _, said = process.communicate(timeout=100)
    assert process.returncode == 0, said
    assert result(tmp_path) == found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_was_ended_goes_on(number, real, tmp_path):
    _, flags, found, _ = real
    draw = random.Random(number)
    for _ in range(2):
        process = begin(*flags, "--output", tmp_path)
        await_its_start(process, tmp_path)
        time.sleep(0.8 * draw.random())
        children = workers_of(process)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        assert "Traceback" not in said or number == signal.SIGKILL  # a worker whose start nobody finishes says so
        gone, alive = psutil.wait_procs(children, timeout=20)
        assert not alive, "workers outlive the run"
    good(*flags, "--output", tmp_path)
    assert result(tmp_path) == found


def test_a_full_disk_stops_the_run_and_the_same_command_goes_on(real, tmp_path):
    _, flags, found, _ = real
    limit = 20_000  # bytes a file, on which a shard's part does not fit
    full = call(*flags, "--output", tmp_path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert full.returncode == 1 and "cannot be written" in full.stderr and "Traceback" not in full.stderr
    assert not list(tmp_path.glob("part-*")) and not (tmp_path / "receipt.json").exists()
    good(*flags, "--output", tmp_path)
    assert result(tmp_path) == found


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_small_file_system_that_is_full(real, tmp_path):
    _, flags, found, _ = real
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        full = call(*flags, "--output", small / "clean")
        assert full.returncode == 1 and "No space left on device" in full.stderr and "Traceback" not in full.stderr
        subprocess.run(["mount", "-o", "remount,size=50m", small], check=True)
        good(*flags, "--output", small / "clean")
        assert result(small / "clean") == found
    finally:
        subprocess.run(["umount", "-l", small], check=True)


def test_only_what_changed_is_done_again(real, tmp_path):
    files, flags, _, clean = real
    shutil.copytree(clean, tmp_path / "clean")
    shutil.copytree(files[0].parent, tmp_path / "in", copy_function=shutil.copy2)
    flags = ["--input", tmp_path / "in" / "*.jsonl", *flags[2:], "--output", tmp_path / "clean"]
    assert "done before" not in good(*flags).stdout, "other files are other shards"
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "clean").glob("part-*")}
    assert "6 of them done before" in good(*flags).stdout
    with open(tmp_path / "in" / "3.jsonl", "a") as file:
        file.write('{"text": "one more", "number": -1}\n')
    assert "5 of them done before" in good(*flags).stdout
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "clean").glob("part-*")}
    assert [name for name in after if after[name] != before[name]] == ["part-00003.jsonl.zst"]
    assert "done before" not in good(*flags, "--scrub-placeholder", "[{kind}]").stdout
    assert "[email]" in json.dumps(kept(tmp_path / "clean"))
    (tmp_path / "in" / "5.jsonl").unlink()
    good(*flags, "--scrub-placeholder", "[{kind}]")
    assert len(list((tmp_path / "clean").glob("part-*"))) == 5, "what no input stands for is gone"


@pytest.fixture
def mixed(tmp_path):
    """Good files, and a place for a broken one in their middle."""
    for name in ("a", "z"):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps({"text": f"{name} {n}"}) + "\n" for n in range(5)))
    return tmp_path, ["--input", tmp_path / "[amz].*", "--output", tmp_path / "out", "--scrub", "email", "--workers", "2"]


MANY = b"".join(json.dumps({"text": f"text {n}"}).encode() + b"\n" for n in range(5000))


@pytest.mark.parametrize(("name", "content", "says"), [
    ("m.jsonl.gz", gzip.compress(MANY)[:-3000], "is cut off"),
    ("m.jsonl.zst", zstandard.ZstdCompressor().compress(MANY)[:-500], "is cut off"),
    ("m.jsonl.gz", b"no gzip at all", "is damaged or not what its ending says"),
    ("m.parquet", b"PAR1 nonsense", "is damaged or not a Parquet file"),
])  # fmt: skip
def test_a_broken_file_is_named_and_the_others_are_done(name, content, says, mixed):
    folder, flags = mixed
    (folder / name).write_bytes(content)
    done = call(*flags)
    assert (
        done.returncode == 1 and f"{name} (part-00001)" in done.stderr and says in done.stderr and "Traceback" not in done.stderr
    )
    assert "1 of 3 shards were set aside" in done.stderr
    assert [each["text"][0] for each in kept(folder / "out")] == ["a"] * 5 + ["z"] * 5
    receipt = json.loads((folder / "out" / "receipt.json").read_text())
    assert not receipt["whole"] and says in receipt["warnings"][0]
    assert "not whole" in (folder / "out" / "receipt.html").read_text()
    if name.endswith(".gz"):
        (folder / name).write_bytes(gzip.compress(MANY))
        assert "2 of them done before" in good(*flags).stdout
        assert len(kept(folder / "out")) == 5010


def test_a_parquet_file_without_the_column_is_named(mixed):
    folder, flags = mixed
    pq.write_table(pa.table({"body": ["x"]}), folder / "m.parquet")
    done = call(*flags)
    assert done.returncode == 1 and "has no column text; its columns are body" in done.stderr
    assert len(kept(folder / "out")) == 10


def test_records_that_are_no_documents_are_counted_by_reason(mixed):
    folder, flags = mixed
    long = b'{"text": "' + b"x" * (65 * 2**20) + b'"}'
    odd = [b'{"text": "good"}', b"\xff\xfe", b'{"text": "cut', b"[1]", b'{"body": "x"}', b'{"text": 5}', b'{"text": "\\ud800"}',
           b"", b'{"text": "nul \\u0000 stays"}', long, b'{"text": "last", "id": null}']  # fmt: skip
    (folder / "m.jsonl").write_bytes(b"\n".join(odd))
    good(*flags)
    found = kept(folder / "out")[5:-5]
    assert [each["text"] for each in found] == ["good", "nul \0 stays", "last"]
    assert all(each["id"] and each["source"] for each in found)
    reasons = ["not_utf8", "not_json", "not_an_object", "key_missing", "not_text", "lone_surrogate", "empty", "too_long"]
    assert [each["reason"] for each in rejects(folder / "out")] == reasons
    dropped = json.loads((folder / "out" / "receipt.json").read_text())["steps"][0]["dropped"]
    assert {reason: count for reason, (count, _) in dropped.items()} == dict.fromkeys(reasons, 1)


def test_empty_files_are_an_empty_corpus_and_a_warning(tmp_path):
    (tmp_path / "a.jsonl").touch()
    done = good("--input", tmp_path / "a.jsonl", "--output", tmp_path / "out", "--scrub", "email")
    assert kept(tmp_path / "out") == [] and "the input holds no document" in done.stderr


def test_folders_of_others_are_left_alone(mixed):
    folder, flags = mixed
    (folder / "out").mkdir()
    (folder / "out" / "thesis.tex").write_text("years of work")
    done = call(*flags)
    assert done.returncode == 1 and "holds thesis.tex and is no folder of ours" in done.stderr
    assert os.listdir(folder / "out") == ["thesis.tex"]


def test_two_runs_do_not_meet_in_one_folder(real, tmp_path):
    _, flags, found, _ = real
    first = begin(*flags, "--output", tmp_path)
    await_its_start(first, tmp_path)
    first.send_signal(signal.SIGSTOP)  # however fast it is, it is at work there meanwhile
    second = call(*flags, "--output", tmp_path)
    first.send_signal(signal.SIGCONT)
    assert second.returncode == 1 and "another run is at work there" in second.stderr
    assert first.wait(60) == 0 and result(tmp_path) == found


def test_a_recipe_file_is_the_same_run(real, tmp_path):
    _, flags, found, clean = real
    good("--recipe", clean / "recipe.yaml", "--output", tmp_path)
    assert result(tmp_path) == found


def test_memory_does_not_grow_with_the_input(tmp_path):
    """The tool and its workers, measured together; a document is a few kB, a shard far more than either corpus."""
    program = (
        "import resource, runpy, sys\n"
        "sys.argv = sys.argv[1:]\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit: pass\n"
        "for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN): print('peak', resource.getrusage(who).ru_maxrss)\n"
    )
    peaks = []
    for copies in (1, 30):
        files = corpus(tmp_path / str(copies), files=1, copies=copies)
        flags = ["--input", files[0], "--output", tmp_path / f"out{copies}", "--scrub", "email"]
        command = [sys.executable, "-c", program, TOOL[1], *flags]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=100, check=True)
        peaks.append([int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("peak")])
    for small, large in zip(*peaks):
        assert large < 1.1 * small + 8_000, peaks  # kB; the lines that wait to be written are 2 MB at most
