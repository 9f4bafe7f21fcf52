"""preprocess_data.py --filters: the same documents as by clean_corpus.py and then without, whatever is wrong with the input; and
faults in the middle of a run leave nothing behind."""

import gzip
import json
import os
import random
import resource
import signal
import subprocess
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tests import texts
from tests.corpus.engine.test_clean import call as clean_corpus
from tests.tools.test_preprocess_data import TOOL, call, gone, hear_ctrl_c, workers_of

RULES = [
    "--filters",
    "length",
    "symbols",
    "--length-min-characters",
    "300",
    "--symbols-max-punctuation",
    "0.14",
    "--scrub",
    "email",
]


@pytest.fixture
def prepared(tmp_path):
    """Arguments of a run, and the folder that it writes to."""
    (tmp_path / "tokenizer.json").write_text(texts.byte_level_bpe_json())
    library = [text + " jane.doe@company.com" * (number % 3 == 0) for number, text in enumerate(texts.library_texts())]
    texts.write_jsonl(tmp_path / "a.jsonl", [*library, "short"])
    out = tmp_path / "out"
    out.mkdir()
    arguments = ["--input", tmp_path / "?.*", "--tokenizer-model", tmp_path, "--output-prefix", out / "x", "--append-eod", *RULES]
    return arguments, out


def receipt(path):
    """All of it but what tells of time and of shards."""
    found = json.loads(path.read_text())
    for step in found["steps"]:
        del step["seconds"]
    return {key: found[key] for key in ("kept", "sources", "languages", "keeps", "steps")}


def test_the_same_as_cleaning_first(prepared, tmp_path):
    arguments, out = prepared
    odd = [b'{"text": "caf\xe9"}', b'{"text": 5}', b"not json", b'{"text": ""}', b'{"text": "nul \\u0000"}', b"\0\0"]
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b"\n".join(odd)))
    (tmp_path / "c.jsonl").touch()
    done = call(*arguments)
    assert done.returncode == 0 and "receipt  " in done.stdout, done.stderr
    cleaned = clean_corpus("--input", tmp_path / "?.*", "--output", tmp_path / "clean", *RULES)
    assert cleaned.returncode == 0, cleaned.stderr
    again = [
        "--input",
        tmp_path / "clean" / "part-*",
        "--tokenizer-model",
        tmp_path,
        "--output-prefix",
        out / "y",
        "--append-eod",
    ]
    again = call(*again)
    assert again.returncode == 0, again.stderr
    assert (out / "x_text_document.bin").read_bytes() == (out / "y_text_document.bin").read_bytes()
    assert receipt(out / "x_receipt.json") == receipt(tmp_path / "clean" / "receipt.json")
    counts = receipt(out / "x_receipt.json")["steps"]
    assert sum(count for count, _ in counts[0]["dropped"].values()) == 5 and counts[2]["dropped"] and counts[3]["edited"]


def test_a_recipe_and_what_is_said_besides(prepared, tmp_path):
    arguments, out = prepared
    (tmp_path / "mine.yaml").write_text("filters: [length]\nlength-min-characters: 100000\nscrub: [email]\n")
    plain = arguments[: arguments.index("--filters")]
    refused = call(*plain, "--recipe", tmp_path / "mine.yaml")
    assert refused.returncode == 1 and "no document could be used" in refused.stderr
    assert call(*plain, "--recipe", tmp_path / "mine.yaml", "--length-min-characters", "300").returncode == 0
    assert receipt(out / "x_receipt.json")["kept"][0] == 40


@pytest.mark.parametrize(("name", "content", "said"), [
    ("m.jsonl.gz", gzip.compress(b'{"text": "x"}\n' * 20000)[:-20], "m.jsonl.gz: is cut off"),
    ("m.jsonl.zst", zstandard.ZstdCompressor().compress(os.urandom(50_000))[:-500], "m.jsonl.zst: is cut off"),
    ("m.parquet", b"PAR1", "m.parquet: is damaged or not a Parquet file"),
    ("m.parquet", None, "has no column text; its columns are body"),
])  # fmt: skip
def test_a_broken_file_is_one_sentence_and_leaves_nothing(name, content, said, prepared, tmp_path):
    arguments, out = prepared
    if content is None:
        pq.write_table(pa.table({"body": ["x"]}), tmp_path / name)
    else:
        (tmp_path / name).write_bytes(content)
    done = call(*arguments)
    assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr
    assert os.listdir(out) == []


def test_a_line_of_200_mb_is_rejected_in_little_memory(prepared, tmp_path):
    arguments, out = prepared
    with open(tmp_path / "b.jsonl", "wb") as file:
        file.write(b'{"text": "' + b"x" * 2**20)
        for _ in range(199):
            file.write(b"x" * 2**20)
        file.write(b'"}\n')
    limit = (900 * 2**20,) * 2
    done = call(*arguments, "--workers", "1", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, limit))
    (tmp_path / "b.jsonl").unlink()
    assert done.returncode == 0, done.stderr
    assert receipt(out / "x_receipt.json")["steps"][0]["dropped"] == {"too_long": [1, 0]}


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_leaves_nothing_and_the_next_run_is_whole(prepared, tmp_path):
    arguments, out = prepared
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60k", "tmpfs", out], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        full = call(*arguments)
        assert full.returncode == 1 and "No space left on device" in full.stderr and "Traceback" not in full.stderr
        assert os.listdir(out) == []
        subprocess.run(["mount", "-o", "remount,size=20m", out], check=True)
        assert call(*arguments).returncode == 0 and receipt(out / "x_receipt.json")["kept"][0] > 10
    finally:
        subprocess.run(["umount", "-l", out], check=True)


@pytest.mark.parametrize("victim", ["worker", "run"])
def test_killed_at_a_random_moment_it_leaves_nothing_that_is_taken_for_whole(victim, prepared, tmp_path):
    arguments, out = prepared
    (tmp_path / "a.jsonl").write_bytes((tmp_path / "a.jsonl").read_bytes() * 120)
    process = subprocess.Popen(
        [*TOOL, *map(str, arguments), "--workers", "2"], stdout=-1, stderr=-1, text=True, preexec_fn=hear_ctrl_c
    )
    while len(children := workers_of(process)) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    time.sleep(0.5 * random.Random(victim).random())
    (children[0] if victim == "worker" else process).send_signal(signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (1 if victim == "worker" else -signal.SIGKILL)
    assert "Traceback" not in said, said[-1500:]
    assert gone([child.pid for child in children])
    assert not [name for name in os.listdir(out) if not name.endswith(".partial")]
    if victim == "worker":
        assert os.listdir(out) == [] and "worker" in said
    assert call(*arguments).returncode == 0
    assert not [name for name in os.listdir(out) if name.endswith(".partial")]
