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
        file.write('{"iteration": 4, "lo')
    again = JsonLines(str(tmp_path), 2)
    again.write(record(iteration=3, loss=math.nan))
    again.close()
    rows = [json.loads(text) for text in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["iteration"] for row in rows] == [1, 2, 3]
    assert math.isnan(rows[-1]["loss"])
    assert "eval_loss" not in rows[0]
