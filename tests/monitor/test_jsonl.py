"""metrics.jsonl stays one curve when a killed run goes on."""

from __future__ import annotations

import json
import math

from megatron_ext.monitor.jsonl import JsonLines
from tests.monitor.test_console import record


def test_lines_after_the_checkpoint_and_a_cut_line_are_dropped(tmp_path):
    sink = JsonLines(str(tmp_path), 0)
    for iteration in (1, 2, 3):
        sink.write(record(iteration=iteration))
    sink.close()
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('\0\0{"iteration": 2, "loss": 1}\n{"iteration": "two"}\n{"iteration": 4, "lo')
    again = JsonLines(str(tmp_path), 2)
    again.write(record(iteration=3, loss=math.nan))
    again.close()
    rows = [json.loads(text) for text in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["iteration"] for row in rows] == [1, 2, 3]
    assert math.isnan(rows[-1]["loss"])
    assert "eval_loss" not in rows[0]


def test_the_last_record_is_put_right(tmp_path):
    sink = JsonLines(str(tmp_path), 0)
    assert sink.last is None
    for iteration in (1, 2):
        sink.write(record(iteration=iteration))
    sink.close()
    again = JsonLines(str(tmp_path), 2)
    assert again.last == record(iteration=2)
    again.replace_last(record(iteration=2, test_loss=1.5))
    again.write(record(iteration=3))
    again.close()
    rows = [json.loads(text) for text in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(row["iteration"], row.get("test_loss")) for row in rows] == [(1, None), (2, 1.5), (3, None)]


def test_fields_of_another_version_are_no_record(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"iteration": 1, "perplexity": 3.0}\n')
    assert JsonLines(str(tmp_path), 1).last is None
