"""Half a piece never stays in a file, whenever the disk fills up."""

from __future__ import annotations

import contextlib
import resource

import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.monitor.files import AppendedFile, write_whole


@contextlib.contextmanager
def files_no_larger_than(size: int):
    """As a full disk does, the system takes a part of what goes beyond, and refuses the next byte."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)


def test_what_does_not_fit_is_taken_back(tmp_path):
    file = AppendedFile(tmp_path / "file")
    file.write(b"first\n")
    with files_no_larger_than(10):
        for _ in range(2):
            with pytest.raises(OSError):
                file.write(b"second\n")
            assert (tmp_path / "file").read_bytes() == b"first\n"
        file.write(b"3rd\n")
    file.write(b"fourth\n")
    file.close()
    assert (tmp_path / "file").read_bytes() == b"first\n3rd\nfourth\n"


def test_a_half_piece_that_could_not_be_cut_off_is_cut_off_later(tmp_path, monkeypatch):
    file = AppendedFile(tmp_path / "file")
    file.write(b"first\n")
    with files_no_larger_than(10), monkeypatch.context() as broken:
        broken.setattr(AppendedFile, "_cut", lambda self: (_ for _ in ()).throw(OSError("not now")))
        with pytest.raises(OSError):
            file.write(b"second\n")
    assert (tmp_path / "file").read_bytes() == b"first\nseco"
    file.write(b"third\n")
    assert (tmp_path / "file").read_bytes() == b"first\nthird\n"


def test_the_old_text_stays_where_the_new_one_does_not_fit(tmp_path):
    write_whole(tmp_path / "run.yaml", "old\n")
    with files_no_larger_than(10), pytest.raises(UserError, match="run.yaml: cannot be written"):
        write_whole(tmp_path / "run.yaml", "new and longer\n")
    assert [path.name for path in tmp_path.iterdir()] == ["run.yaml"]
    assert (tmp_path / "run.yaml").read_text() == "old\n"
