"""How programs end: also where nobody reads what they print."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

from megatron_ext.arguments.problems import NO_READER, exit_status

ROOT = pathlib.Path(__file__).resolve().parents[2]


def unread(*command: object, both: bool = False) -> tuple[int, str]:
    """A command's status where its output goes to a pipe that was closed, and what it says on stderr."""
    read, write = os.pipe()
    os.close(read)
    try:
        err = write if both else subprocess.PIPE
        done = subprocess.run([sys.executable, *map(str, command)], stdout=write, stderr=err, text=True, cwd=ROOT, timeout=100)
    finally:
        os.close(write)
    return done.returncode, done.stderr or ""


@pytest.mark.parametrize("program", ["pretrain_gpt.py", "tools/clean_corpus.py", "tools/generate.py"])
def test_help_that_nobody_reads(program):
    assert unread(program, "--help", "all") == (NO_READER, "")


@pytest.mark.parametrize("both", [False, True])
def test_a_summary_that_nobody_reads(both, tmp_path):
    (tmp_path / "a.txt").write_text("a text")
    status, said = unread(
        "tools/clean_corpus.py", "--input", tmp_path / "a.txt", "--output", tmp_path / "out", "--workers", 1, both=both
    )
    assert (status, said) == (NO_READER, "")
    assert (tmp_path / "out" / "receipt.json").exists(), "the work was done before"


def test_another_pipe_that_breaks_is_an_error():
    def work():
        read, write = os.pipe()
        os.close(read)
        os.write(write, b"x")

    with pytest.raises(BrokenPipeError):
        exit_status(work, "a program")
