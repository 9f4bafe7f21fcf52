"""All files or none."""

import json
import os

import numpy as np
import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.data.preprocess.encoding import Encoded
from megatron_ext.data.preprocess.outputs import Outputs, names


def encoded(*columns, rejects=()):
    pairs = [(np.array(sum(column, []), np.uint16), np.array([len(ids) for ids in column])) for column in columns]
    return Encoded(0, pairs, len(columns[0]), list(rejects), 0, 0, 0, 0)


def test_everything_is_published_together(tmp_path):
    with Outputs(str(tmp_path / "x"), ["a", "b"], 100) as outputs:
        outputs.add(encoded([[1, 2], [3]], [[4], [5, 6]], rejects=[{"file": "f", "line": 3}]))
        assert all(name.endswith(".partial") for name in os.listdir(tmp_path))
        outputs.publish({"documents": 2}, {"append_eod": True})
    written = [
        "x_rejects.jsonl",
        "x_summary.json",
        *(f"x_{key}_document.{end}" for key in "ab" for end in ("bin", "idx", "json")),
    ]
    assert sorted(os.listdir(tmp_path)) == sorted(written)
    assert sorted(names(str(tmp_path / "x"), ["a", "b"])) == sorted(str(tmp_path / name) for name in written)
    assert json.loads((tmp_path / "x_b_document.json").read_text())["append_eod"] is True
    assert json.loads((tmp_path / "x_rejects.jsonl").read_text()) == {"file": "f", "line": 3}
    assert np.fromfile(tmp_path / "x_b_document.bin", np.uint16).tolist() == [4, 5, 6]


def test_nothing_is_left_of_what_was_not_published(tmp_path):
    with pytest.raises(ZeroDivisionError), Outputs(str(tmp_path / "x"), ["a"], 100) as outputs:
        outputs.add(encoded([[1]]))
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []


def test_one_file_that_cannot_be_opened_leaves_none(tmp_path):
    (tmp_path / "x_summary.json.partial").mkdir()
    with pytest.raises(UserError, match="x_summary.json: cannot be written"):
        Outputs(str(tmp_path / "x"), ["a"], 100)
    assert os.listdir(tmp_path) == ["x_summary.json.partial"]


def test_file_names_that_are_not_utf8_can_be_told(tmp_path):
    with Outputs(str(tmp_path / "x"), ["a"], 100) as outputs:
        outputs.add(encoded([[1]], rejects=[{"file": os.fsdecode(b"caf\xe9"), "line": 1}]))
        outputs.publish({}, {})
    assert os.fsencode(json.loads((tmp_path / "x_rejects.jsonl").read_text())["file"]) == b"caf\xe9"
