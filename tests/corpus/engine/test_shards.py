"""What is a shard: pieces of large files, many small ones where each is a document; and such a file that is broken."""

import gzip
import json
import os
import pathlib
import resource
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from megatron_ext.corpus.engine.shards import cut
from megatron_ext.corpus.flags import InputFlags
from tests.corpus.engine.test_clean import call, good, kept, rejects

PROSE = "This page says something that is long enough to be its main content, in a sentence of its own. "


def plan(folder, *patterns, shard_size, **more):
    flags = InputFlags(input=tuple(str(folder / pattern) for pattern in patterns), **more)
    return list(cut(SimpleNamespace(**vars(flags), output=str(folder / "out"), shard_size=shard_size)))


def pages(folder, count, size=1000):
    for number in range(count):
        (folder / f"{number:03}.html").write_text(f"<p>{number}: {PROSE * (size // len(PROSE))}</p>")


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=30), st.integers(1000, 8000))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_small_files_share_shards_in_order(tmp_path, sizes, most):
    for old in tmp_path.iterdir():
        old.unlink()
    for number, size in enumerate(sizes):
        (tmp_path / f"{number:02}.html").write_bytes(b"x" * size)
    shards = plan(tmp_path, "*.html", shard_size=most / 1e6)
    files = [piece.file for shard in shards for piece in shard.pieces]
    assert files == sorted(map(str, tmp_path.iterdir())) and [shard.number for shard in shards] == list(range(len(shards)))
    assert all(shard.size <= most or len(shard.pieces) == 1 for shard in shards)
    for shard, after in zip(shards, shards[1:]):
        assert shard.size + after.pieces[0].size > most, "no shard is smaller than it must be"


def test_files_of_many_documents_share_none(tmp_path):
    pages(tmp_path, 3)
    for name in ("004.jsonl", "005.jsonl", "007.txt", "008.txt"):
        (tmp_path / name).write_text('{"text": "x"}\n')
    (tmp_path / "006.html").write_text("<p>x</p>")
    names = [[pathlib.Path(piece.file).name for piece in shard.pieces] for shard in plan(tmp_path, "*", shard_size=1.0)]
    assert names == [["000.html", "001.html", "002.html"], ["004.jsonl"], ["005.jsonl"], ["006.html", "007.txt", "008.txt"]]
    by_line = plan(tmp_path, "*.txt", shard_size=1.0, text_sample_by="line")
    assert [len(shard.pieces) for shard in by_line] == [1, 1]


def test_a_broken_page_is_a_reject_and_its_neighbours_are_kept(tmp_path):
    pages(tmp_path, 5)
    whole = gzip.compress((tmp_path / "002.html").read_bytes() + os.urandom(5000))
    (tmp_path / "002.html.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "003.html.gz").write_bytes(b"no gzip")
    (tmp_path / "004.html.gz").touch()
    done = good(
        "--input", tmp_path / "*.html*", "--sources-below", tmp_path.parent, "--output", tmp_path / "out", "--scrub", "email"
    )
    assert "in 1 shard" in done.stdout and [each["text"][0] for each in kept(tmp_path / "out")] == list("01234")
    assert {each["source"] for each in kept(tmp_path / "out") + rejects(tmp_path / "out")} == {tmp_path.name}
    found = [(pathlib.Path(each["file"]).name, each["reason"], each["detail"][:10]) for each in rejects(tmp_path / "out")]
    said = ["is cut off", "is damaged", "is cut off"]
    assert found == [(f"00{number}.html.gz", "damaged", detail) for number, detail in zip((2, 3, 4), said)]
    receipt = json.loads((tmp_path / "out" / "receipt.json").read_text())
    assert receipt["whole"] and receipt["steps"][0]["dropped"] == {"damaged": [3, 0]}


def test_a_page_that_changes_meanwhile_sets_its_shard_aside(tmp_path):
    """Whichever page it is, and whether it is written to or removed: nothing goes missing without a word."""
    pages(tmp_path, 400, size=20_000)
    flags = ["--input", tmp_path / "*.html", "--output", tmp_path / "out", "--scrub", "email", "--workers", "1"]

    def disturb():
        while not (tmp_path / "out" / "part-00000.jsonl.zst.partial").exists():
            time.sleep(0.01)
        (tmp_path / "399.html").unlink()

    thread = threading.Thread(target=disturb)
    thread.start()
    done = call(*flags)
    thread.join()
    assert done.returncode == 1 and "000.html and 399 files after it (part-00000)" in done.stderr
    assert "399.html: was changed while it was read" in done.stderr or "399.html: cannot be read" in done.stderr
    good(*flags)
    assert len(kept(tmp_path / "out")) == 399


@pytest.mark.parametrize(("arguments", "said"), [
    (["--source", "mine"], "and --source both say what sources are"),
    (["--sources-below", "{folder}/elsewhere"], "is no folder that"),
])  # fmt: skip
def test_sources_below_and_what_it_does_not_go_with(tmp_path, arguments, said):
    pages(tmp_path, 1)
    arguments = [word.format(folder=tmp_path) for word in arguments]
    done = call("--input", tmp_path / "*.html", "--sources-below", tmp_path, *arguments, "--output", tmp_path / "out")
    assert done.returncode == 2 and said in done.stderr


def test_a_file_in_the_folder_itself_tells_its_own_source(tmp_path):
    (tmp_path / "one" / "deep").mkdir(parents=True)
    for name in ("a.jsonl", "one/b.jsonl", "one/deep/c.jsonl"):
        (tmp_path / name).write_text('{"text": "words", "source": "own"}\n')
    arguments = ["--input", tmp_path / "**" / "*.jsonl", "--sources-below", tmp_path, "--output", tmp_path / "out"]
    good(*arguments, "--scrub", "email")
    assert [each["source"] for each in kept(tmp_path / "out")] == ["own", "one", "one"]


def test_nul_bytes_and_an_empty_archive(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"before\0after\n\0\0\n")
    (tmp_path / "b.jsonl").write_bytes(b'{"text": "raw \0 in it"}\n{"text": "good"}\n' + b"\0" * 5000 + b"\n")
    good("--input", tmp_path / "?.*", "--output", tmp_path / "out", "--scrub", "email")
    assert [each["text"] for each in kept(tmp_path / "out")] == ["before\0after\n\0\0\n", "good"]
    assert [each["reason"] for each in rejects(tmp_path / "out")] == ["not_json", "not_json"]
    (tmp_path / "c.jsonl.gz").touch()
    done = call("--input", tmp_path / "?.*", "--output", tmp_path / "out", "--scrub", "email")
    assert done.returncode == 1 and "c.jsonl.gz: is cut off" in done.stderr and len(kept(tmp_path / "out")) == 2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss in kB")
def test_a_line_of_200_mb_is_passed_over_in_little_memory(tmp_path):
    with open(tmp_path / "a.jsonl", "wb") as file:
        file.write(b'{"text": "first"}\n{"text": "')
        for _ in range(200):
            file.write(b"x" * 2**20)
        file.write(b'"}\n{"text": "last"}\n')
    arguments = ["--input", tmp_path / "a.jsonl", "--output", tmp_path / "out", "--scrub", "email", "--shard-size", "50"]
    good(*arguments, "--workers", "1", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (600 * 2**20,) * 2))
    assert [each["text"] for each in kept(tmp_path / "out")] == ["first", "last"]
    assert [each["reason"] for each in rejects(tmp_path / "out")] == ["too_long"]
    (tmp_path / "a.jsonl").unlink()
