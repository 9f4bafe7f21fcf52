"""Orders on disk: whole or not at all, one process draws and the others wait, and nothing that goes wrong gives other numbers."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import pathlib
import signal
import tempfile
import time

import numpy as np
import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.data import cache as module
from megatron_ext.data.cache import HIDDEN, Cache
from tests.data.pairs import told_without_rights

ARRAY = np.arange(100, 1100, dtype=np.int64)
spawn = multiprocessing.get_context("fork")


def drawing(log):
    return lambda: log.append(1) or ARRAY.copy()


def fails():
    raise AssertionError("drawn again")


def test_what_was_drawn_is_found_again(tmp_path):
    log = []
    assert np.array_equal(Cache(tmp_path).array("a", 1000, drawing(log)), ARRAY)
    found = Cache(tmp_path).array("a", 1000, fails)
    assert np.array_equal(found, ARRAY) and found.dtype == np.int64
    assert not found.flags.writeable and found.flags.aligned
    assert len(log) == 1
    assert os.listdir(tmp_path) == ["a.order"], "no lock and no half-written file stays"
    Cache(tmp_path).array("b", 1000, drawing(log))
    assert len(log) == 2


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [
    lambda path: os.truncate(path, 4000),
    lambda path: os.truncate(path, 10),
    lambda path: path.write_bytes(b""),
    lambda path: flip(path, 3),
    lambda path: flip(path, 20),
    lambda path: flip(path, 7000),
    lambda path: path.write_bytes(path.read_bytes() + b"more"),
])  # fmt: skip
def test_a_damaged_file_is_drawn_anew(tmp_path, damage):
    log = []
    Cache(tmp_path).array("a", 1000, drawing(log))
    damage(tmp_path / "a.order")
    assert np.array_equal(Cache(tmp_path).array("a", 1000, drawing(log)), ARRAY)
    assert np.array_equal(Cache(tmp_path).array("a", 1000, fails), ARRAY)
    assert len(log) == 2


def draws_slowly(folder, log, pipe):
    def draw():
        with open(log, "a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.3)
        return ARRAY

    pipe.send(Cache(folder).array("a", 1000, draw).sum())


def test_of_many_processes_one_draws(tmp_path):
    log, processes = tmp_path / "log", []
    for _ in range(6):
        ours, theirs = spawn.Pipe()
        processes.append((spawn.Process(target=draws_slowly, args=(tmp_path / "c", log, theirs)), ours))
        processes[-1][0].start()
    for process, pipe in processes:
        assert pipe.recv() == ARRAY.sum()
        process.join()
    assert len(log.read_text().splitlines()) == 1
    assert os.listdir(tmp_path / "c") == ["a.order"]


def never_ends(folder, started):
    def draw():
        started.send(1)
        time.sleep(60)

    Cache(folder).array("a", 1000, draw)


def stuck(folder):
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=never_ends, args=(folder, theirs))
    process.start()
    assert ours.recv() == 1
    return process


def test_a_process_that_dies_while_drawing_blocks_nobody(tmp_path):
    process = stuck(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert np.array_equal(Cache(tmp_path).array("a", 1000, drawing([])), ARRAY)
    assert os.listdir(tmp_path) == ["a.order"]


def test_a_process_that_hangs_is_not_waited_for_for_ever(tmp_path):
    process = stuck(tmp_path)
    try:
        assert np.array_equal(Cache(tmp_path, patience=0.2).array("a", 1000, drawing([])), ARRAY)
        assert np.array_equal(Cache(tmp_path).array("a", 1000, fails), ARRAY)
    finally:
        process.kill()
        process.join()


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    assert np.array_equal(Cache(tmp_path).array("a", 1000, drawing([])), ARRAY)
    assert np.array_equal(Cache(tmp_path).array("a", 1000, fails), ARRAY)


def test_what_a_killed_process_left_is_cleared_away(tmp_path):
    stale = tmp_path / ".a.order.host.1.partial"
    fresh = tmp_path / ".a.order.host.2.partial"
    for path in (stale, fresh):
        path.write_bytes(b"half")
    os.utime(stale, (0, 0))
    Cache(tmp_path).array("a", 1000, drawing([]))
    assert not stale.exists() and fresh.exists()


def no_room(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch, capfd):
    """Asked for: an error. Beside the data: said once, and the order drawn each time."""
    monkeypatch.setattr(module, "_write", no_room)
    with pytest.raises(UserError, match=r"--data-cache-path .*: cannot be written \(No space left on device\); name a folder"):
        Cache.of(str(tmp_path / "asked"), "data/a").array("a", 1000, drawing([]))
    log, beside = [], Cache.of(None, str(tmp_path / "a"))
    for name in ("a", "b"):
        assert np.array_equal(beside.array(name, 1000, drawing(log)), ARRAY)
    assert len(log) == 2
    assert capfd.readouterr().err.count("cannot be written (No space left on device), so the order of the data is drawn") == 1


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "c").write_text("")
    with pytest.raises(UserError, match="--data-cache-path .*c: cannot be written"):
        Cache(tmp_path / "c", asked_for=True).array("a", 1000, drawing([]))


def test_a_folder_without_rights():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        said = told_without_rights(lambda: Cache(folder, asked_for=True).array("a", 1000, drawing([])))
        assert said == f"--data-cache-path {folder}: cannot be written (Permission denied); name a folder with room that can be"
        assert told_without_rights(lambda: int(Cache(folder).array("a", 1000, drawing([])).sum())) == str(ARRAY.sum())
        assert not os.listdir(folder)


def test_a_prepared_folder_need_not_be_writable(tmp_path, monkeypatch):
    Cache(tmp_path).array("a", 1000, drawing([]))
    monkeypatch.setattr(module, "_write", no_room)
    monkeypatch.setattr(pathlib.Path, "mkdir", no_room)
    assert np.array_equal(Cache(tmp_path, asked_for=True).array("a", 1000, fails), ARRAY)


def test_a_folder_that_cannot_be_written_is_read_all_the_same(tmp_path, monkeypatch):
    Cache(tmp_path).array("a", 1000, drawing([]))
    monkeypatch.setattr(module, "_write", no_room)
    cache, log = Cache(tmp_path), []
    assert np.array_equal(cache.array("b", 1000, drawing(log)), ARRAY) and len(log) == 1
    assert np.array_equal(cache.array("a", 1000, fails), ARRAY)
    assert cache.holds("a", 1000) and not cache.holds("b", 1000) and not cache.holds("a", 999)


def test_by_default_it_lies_beside_the_data():
    assert Cache.of(None, "some/where/a").folder == pathlib.Path("some/where") / HIDDEN
    assert Cache.of("there", "some/where/a").folder == pathlib.Path("there")
