"""corpus/engine/columns.py: what was written comes back, whole or in pieces; what is not whole is named."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.engine.columns import KINDS, Columns, write_columns


def test_columns_come_back(tmp_path):
    columns = {f"c{number}": np.arange(5).astype(kind) for number, kind in enumerate(KINDS.values())}
    columns |= {
        "rows": np.arange(12, dtype=np.uint64).reshape(6, 2).T,
        "none": np.empty(0, np.int64),
        "no rows": np.empty((0, 2), np.uint64),
    }
    write_columns(tmp_path / "a", columns)
    found = Columns(tmp_path / "a")
    assert set(found.names()) == set(columns)
    for name, expected in load_file(tmp_path / "a").items():
        assert found[name].dtype == expected.dtype == columns[name].dtype and found.rows(name) == len(expected)
        np.testing.assert_array_equal(found[name], columns[name])
        np.testing.assert_array_equal(found.piece(name, 1, 4), expected[1:4])
        assert not found[name].flags.writeable


@pytest.mark.parametrize(
    "broken", [lambda whole: whole[:-1], lambda whole: whole[:20], lambda whole: b"", lambda whole: whole + b"x"]
)
def test_what_is_not_whole_is_named(broken, tmp_path):
    write_columns(tmp_path / "a", {"a": np.arange(100)})
    (tmp_path / "a").write_bytes(broken((tmp_path / "a").read_bytes()))
    with pytest.raises(UserError, match="a: cannot be read .*; remove it, and the same command makes it again"):
        Columns(tmp_path / "a")


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="a: cannot be read"):
        Columns(tmp_path / "a")
