"""A file is there whole or not at all."""

import errno
import fcntl
import os
import pathlib
import socket
import subprocess
import sys

import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.whole_file import WholeFile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_it_appears_only_when_published_and_replaces_the_old_one(tmp_path):
    path = tmp_path / "new" / "a"
    file = WholeFile(str(path))
    file.write(b"one")
    file.seal()
    assert not path.exists()
    file.publish()
    assert path.read_bytes() == b"one" and os.listdir(path.parent) == ["a"]
    second = WholeFile(str(path))
    second.write(b"two")
    assert path.read_bytes() == b"one"
    second.seal()
    second.publish()
    second.discard()
    assert path.read_bytes() == b"two"


def test_what_is_discarded_leaves_nothing(tmp_path):
    file = WholeFile(str(tmp_path / "a"))
    file.write(b"x" * 10_000_000)
    file.discard()
    file.discard()
    assert os.listdir(tmp_path) == []


def test_what_a_killed_run_left_is_written_over(tmp_path):
    (tmp_path / "a.partial").write_bytes(b"left over, and longer than what comes now")
    file = WholeFile(str(tmp_path / "a"))
    file.write(b"now")
    file.seal()
    file.publish()
    assert (tmp_path / "a").read_bytes() == b"now" and os.listdir(tmp_path) == ["a"]


def test_two_runs_do_not_write_the_same_file(tmp_path):
    first = WholeFile(str(tmp_path / "a"))
    first.write(b"first")
    with pytest.raises(UserError, match="being written by another run"):
        WholeFile(str(tmp_path / "a"))
    first.seal()
    first.publish()
    assert (tmp_path / "a").read_bytes() == b"first"


def test_writing_at_a_place_and_reading_back(tmp_path):
    file = WholeFile(str(tmp_path / "a"))
    file.write(bytes(5))
    file.write(b"tail")
    assert file.read_at(5, 2) == b"ta"
    file.write_at(1, b"head"[:3])
    file.write(b"!")
    file.seal()
    file.publish()
    assert (tmp_path / "a").read_bytes() == b"\0hea\0tail!"


def test_no_room_and_no_folder_are_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        WholeFile(str(tmp_path / "file" / "a"))
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n"
        "from megatron_ext.corpus.whole_file import WholeFile\n"
        "file = WholeFile(sys.argv[1])\n"
        "try:\n    for _ in range(100): file.write(bytes(100_000))\n"
        "finally: file.discard()"
    )
    found = subprocess.run([sys.executable, "-c", code, str(tmp_path / "b")], capture_output=True, text=True, cwd=ROOT)
    assert "UserError" in found.stderr and "b: cannot be written (File too large)" in found.stderr
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_published_between_opening_and_locking_is_not_written_over(tmp_path, monkeypatch):
    first = WholeFile(str(tmp_path / "a"))
    first.write(b"first")
    first.seal()
    lock, publish = fcntl.flock, [first.publish]

    def later(*args):
        while publish:
            publish.pop()()
        lock(*args)

    monkeypatch.setattr(fcntl, "flock", later)
    second = WholeFile(str(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == b"first"
    second.write(b"second")
    assert (tmp_path / "a").read_bytes() == b"first"
    second.discard()


def without_locks(monkeypatch):
    def refuse(file, how):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)


def test_without_locks_each_writes_its_own_and_both_are_whole(tmp_path, monkeypatch):
    """As Lustre is mostly mounted: two tasks that do the same job (one was taken for dead) share no unfinished file."""
    without_locks(monkeypatch)
    first, second = WholeFile(str(tmp_path / "a")), WholeFile(str(tmp_path / "a"))
    assert not (tmp_path / "a.partial").exists() and len(os.listdir(tmp_path)) == 2
    for file, content in ((first, b"a long first one"), (second, b"second")):
        for at in range(len(content)):
            file.write(content[at : at + 1])
    for file, content in ((second, b"second"), (first, b"a long first one")):
        file.seal()
        file.publish()
        assert (tmp_path / "a").read_bytes() == content
    assert os.listdir(tmp_path) == ["a"]


def test_without_locks_what_a_killed_process_left_is_gone(tmp_path, monkeypatch):
    without_locks(monkeypatch)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / f"a.{socket.gethostname()}-{dead.pid}-0.partial"
    alive = tmp_path / f"a.{socket.gethostname()}-{os.getppid()}-0.partial"
    elsewhere = tmp_path / f"a.another-{dead.pid}-0.partial"
    for path in (left, alive, elsewhere):
        path.write_bytes(b"half")
    WholeFile(str(tmp_path / "a")).discard()
    assert sorted(os.listdir(tmp_path)) == sorted([alive.name, elsewhere.name])


def test_an_unfinished_file_that_was_taken_away_is_said(tmp_path):
    file = WholeFile(str(tmp_path / "a"))
    (tmp_path / "a.partial").unlink()
    (tmp_path / "a.partial").write_bytes(b"another run's")
    file.seal()
    with pytest.raises(UserError, match="taken away by another run"):
        file.publish()
