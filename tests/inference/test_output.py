"""What a terminal shows, piece by piece, and what a file of JSON lines holds."""

from __future__ import annotations

import json

import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.inference.generate import Continuation, in_order
from megatron_ext.inference.output import JsonLines, Terminal
from megatron_ext.inference.prompts import Request
from tests.monitor.test_files import files_no_larger_than


def results():
    return [Continuation(Request(number, 0, prompt, (1,))) for number, prompt in enumerate(("A:", "B:", "C:"))]


def grown():
    """Three texts: the second ends first, the third with nothing, then the first; after each step, all of them."""
    first, second, third = rows = results()
    first.text, second.text = " x", " b"
    yield rows
    second.text, second.finish_reason = " b\n", "eod"
    third.finish_reason = "stop"
    yield rows
    first.text = " x y"
    yield rows
    first.text, first.finish_reason, first.ids = " x y é", "length", [7, 8]
    yield rows


def test_texts_come_in_order_the_first_as_it_grows():
    found = [(result.request.number, piece) for result, piece in in_order(grown())]
    assert found == [(0, " x"), (0, " y"), (0, " é"), (1, " b\n"), (2, "")]


def test_terminal(capsys):
    sink, seen = Terminal(), []
    for result, piece in in_order(grown()):
        sink.add(result, piece)
        seen.append(capsys.readouterr().out)
    assert seen == ["A: x", " y", " é\n", "\nB: b\n\n", "\nC:\n"]


def test_json_lines(tmp_path):
    sink, lines = JsonLines(str(tmp_path / "out.jsonl")), []
    for result, piece in in_order(grown()):
        sink.add(result, piece)
        lines.append((tmp_path / "out.jsonl").read_text(encoding="utf-8").count("\n"))
    sink.close()
    assert lines == [0, 0, 1, 2, 3], "a text is in the file as soon as it has ended"
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert records[0] == {
        "number": 0, "sample": 0, "prompt": "A:", "text": " x y é", "ids": [7, 8], "finish_reason": "length",
    }  # fmt: skip
    assert [record["text"] for record in records] == [" x y é", " b\n", ""]


def test_a_full_disk_is_said_and_leaves_whole_lines(tmp_path):
    sink = JsonLines(str(tmp_path / "out.jsonl"))
    pieces = iter(in_order(grown()))
    with files_no_larger_than(150), pytest.raises(UserError, match="out.jsonl: cannot be written: File too large; name another"):
        for result, piece in pieces:
            sink.add(result, piece)
    sink.close()
    (line,) = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["text"] == " x y é"
