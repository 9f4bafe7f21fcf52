"""What every reader offers, and several formats through the whole command."""

import gzip
import inspect
import json
import pathlib
import subprocess
import sys

import pytest
import zstandard

from megatron_ext.corpus.documents import REASONS
from megatron_ext.corpus.flags import READERS
from megatron_ext.data.preprocess.pipeline import told
from tests.corpus.readers import test_git_tree, test_warc

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", READERS)
def test_contract(name):
    reader = READERS.load(name)
    assert all(suffix.startswith(".") or suffix == "posts.xml" for suffix in reader.SUFFIXES) and reader.UNIT.isalpha()
    assert list(inspect.signature(reader.read).parameters) == ["source", "keys", "flags"]
    assert list(inspect.signature(reader.fields).parameters) == ["payload", "keys"]
    assert f"--input-format {name}" in reader.__doc__
    if hasattr(reader, "parts"):
        assert list(inspect.signature(reader.parts).parameters) == ["path", "flags", "size"]
    reasons = {part.partition('"')[0] for part in inspect.getsource(reader).split('Reject("')[1:]}
    assert reasons <= REASONS.keys()


def test_each_ending_is_one_formats():
    suffixes = [suffix for name in READERS for suffix in READERS.load(name).SUFFIXES]
    assert len(suffixes) == len(set(suffixes))


def test_readers_and_flags_import_no_package_of_the_extra():
    heavy = "fastwarc resiliparse fsspec aiohttp trafilatura lxml pyarrow brotli pygments"
    code = f"import sys; from megatron_ext.corpus.flags import READERS; [READERS.load(name) for name in READERS]; print(*(set('{heavy}'.split()) & set(sys.modules)))"  # noqa: E501
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split() == []


def test_a_reject_is_told_in_the_formats_own_unit():
    line = {"file": "a.warc", "record": 3, "reason": "not_html", "detail": "the content is image/png"}
    assert told(line, REASONS) == "a.warc, record 3: not HTML (the content is image/png)"


@pytest.mark.parametrize("source", [None, "mine"])
def test_formats_through_the_command(tmp_path, source):
    tree = tmp_path / "in" / "project"
    tree.mkdir(parents=True)
    (tree / "a.py").write_text("print('words')\n")
    test_git_tree.git(tree, "init", "-q")
    test_git_tree.git(tree, "add", "a.py")
    test_warc.write(
        tmp_path / "in", *test_warc.OTHERS, *test_warc.GOOD, test_warc.record(9, test_warc.http(b"%PDF", "application/pdf"))
    )
    (tmp_path / "in" / "b.jsonl").write_text("".join(json.dumps({"text": f"line {n}", "n": n}) + "\n" for n in range(500)))
    (tmp_path / "in" / "c.tex.gz").write_bytes(gzip.compress(b"\\documentclass{article}\\begin{document}A paper.\\end{document}"))
    arguments = ["--input", tmp_path / "in" / "*.*", tree, "--output", tmp_path / "out", "--scrub", "email", "--workers", "1"]
    arguments += ["--shard-size", "0.003", *(["--source", source] if source else [])]
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "clean_corpus.py", *map(str, arguments)], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    parts = sorted((tmp_path / "out").glob("part-*"))
    found = [
        json.loads(line)
        for part in parts
        for line in zstandard.ZstdDecompressor().stream_reader(open(part, "rb")).read().splitlines()
    ]
    rejects = [json.loads(line) for part in sorted((tmp_path / "out" / "rejects").iterdir())
               for line in zstandard.ZstdDecompressor().stream_reader(open(part, "rb")).read().splitlines()]  # fmt: skip
    assert len(parts) > 6 and len({each["id"] for each in found}) == len(found) == 505
    assert [each["n"] for each in found if "n" in each] == list(range(500))
    expected = [source] * 4 if source else ["warc", "jsonl", "latex", "project"]
    assert list(dict.fromkeys(each["source"] for each in found)) == list(dict.fromkeys(expected))
    assert found[-1]["text"] == "print('words')\n" and found[-1]["language"] == "Python" and found[-1]["id"] == "project/a.py"
    assert [each["reason"] for each in rejects] == ["not_html"]
