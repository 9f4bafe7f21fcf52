"""A line now and then where there is no terminal, and a bar where there is one."""

import io

import rich.console
from rich.console import Console

from megatron_ext.corpus import progress
from megatron_ext.corpus.progress import Meter


def test_lines_at_the_interval_and_not_in_between(capsys):
    with Meter("tokenizing", total=1000, interval=100) as meter:
        for _ in range(10):
            meter.advance(read_bytes=100, text_bytes=300, documents=25)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(", ")[:2] for line in lines] == [
        ["tokenizing: 100 documents", "40%"],
        ["tokenizing: 200 documents", "80%"],
    ]
    assert "MB/s" in lines[0] and "docs/s" in lines[0]


def test_lines_after_so_many_seconds(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with Meter("clean", total=1000, seconds=10.0) as meter:
        for _ in range(10):
            now[0] += 3.0
            meter.advance(read_bytes=100, text_bytes=300, documents=1_000_000)
    assert [line.split(", ")[1] for line in capsys.readouterr().err.splitlines()] == ["40%", "80%"]


def test_silence_when_asked_for(capsys):
    with Meter("tokenizing", total=1000, interval=0) as meter:
        meter.advance(1000, 1000, 1_000_000)
    assert capsys.readouterr().err == ""


def test_a_bar_on_a_terminal(monkeypatch):
    shown = io.StringIO()
    shown.isatty = lambda: True
    monkeypatch.setattr(progress.sys, "stderr", shown)
    monkeypatch.setattr(rich.console, "Console", lambda stderr: Console(file=shown, force_terminal=True, width=120))
    with Meter("tokenizing", total=1000, interval=1) as meter:
        meter.advance(500, 10_000_000, 70)
        meter._bar.refresh()
        meter.note("merging")
        meter._bar.refresh()
    assert "tokenizing" in shown.getvalue() and "50%" in shown.getvalue() and "docs/s" in shown.getvalue()
    assert "merging" in shown.getvalue()
