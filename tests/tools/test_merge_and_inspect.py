"""tools/merge_datasets.py and tools/inspect_dataset.py as a person meets them: what is printed, exit codes, one sentence."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from tests.data.merging.test_merge import write
from tools import inspect_dataset, merge_datasets


@pytest.fixture
def shards(tmp_path):
    (tmp_path / "shards").mkdir()
    for name, documents in {"a": [[1, 0], [2, 3, 0]], "b": [[4, 0]]}.items():
        write(tmp_path / "shards" / name, documents)
    return tmp_path / "shards"


def test_shards_to_one_and_a_look_into_it(shards, tmp_path, capsys):
    out = str(tmp_path / "out" / "all")
    assert merge_datasets.main(["--input", str(shards), "--output-prefix", out]) == 0
    said = capsys.readouterr().out
    assert "3, 7 tokens as uint16" in said and f"--data-path {out}" in said
    assert sorted(os.listdir(tmp_path / "out")) == ["all.bin", "all.idx", "all.json"]
    assert inspect_dataset.main([out, "--document", "1", "--verify"]) == 0
    said = capsys.readouterr().out
    assert "2 3 0" in said and "whole" in said
    assert inspect_dataset.main([out, "--json", "--checksum"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["documents"], found["checksum"]) == (3, json.loads((tmp_path / "out" / "all.json").read_text())["checksum"])


def test_damage_is_one_sentence_and_an_exit_code(shards, capsys):
    tokens = np.fromfile(shards / "a.bin", np.uint16)
    tokens[0] = 5
    tokens.tofile(shards / "a.bin")
    assert inspect_dataset.main([str(shards / "a")]) == 0
    assert inspect_dataset.main([str(shards / "a"), "--verify", "--json"]) == 1
    found = capsys.readouterr()
    assert len(found.err.splitlines()) == 1 and "is damaged: its checksum is" in found.err
    with open(shards / "a.bin", "ab") as file:
        file.write(b"x")
    assert inspect_dataset.main([str(shards / "a")]) == 1
    assert "does not belong together or is cut off" in capsys.readouterr().err


def test_wrong_flags(shards, capsys):
    assert inspect_dataset.main([]) == 2
    assert merge_datasets.main(["--input", str(shards)]) == 2
    assert "--output-prefix: is missing" in capsys.readouterr().err


def test_a_full_disk_leaves_nothing(shards, tmp_path):
    command = [sys.executable, merge_datasets.__file__, "--input", str(shards), "--output-prefix", str(tmp_path / "out" / "x")]
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))
    ran = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)
    assert ran.returncode == 1 and "cannot be written (File too large)" in ran.stderr
    assert os.listdir(tmp_path / "out") == []
