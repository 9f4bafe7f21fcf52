"""The table of docs/corpora_rules.md: what was not translated does not count, and a wrong answer shows."""

import pathlib
import subprocess
import sys

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools" / "language_accuracy.py"
ENGLISH = "The administrator of system number {} reads its messages every morning before breakfast."
GERMAN = "Der Verwalter des Rechners Nummer {} liest jeden Morgen vor dem Frühstück die neuen Nachrichten."


def write(folder, sentences):
    folder.mkdir()
    page = "".join(f'<div class="para">{sentence}</div>\n' for sentence in sentences)
    (folder / "index.html").write_text(f"<html><title>A</title><body>{page}</body></html>", encoding="utf-8")


def test_the_table(tmp_path):
    write(tmp_path / "en-US", map(ENGLISH.format, range(1000)))
    write(tmp_path / "de-DE", [*map(GERMAN.format, range(1000)), *map(ENGLISH.format, range(500))])
    write(tmp_path / "fr-FR", map(GERMAN.format, range(1000)))
    write(tmp_path / "it-IT", map(GERMAN.format, range(999)))
    lines = subprocess.check_output([sys.executable, str(TOOL), str(tmp_path)], text=True).splitlines()
    assert lines[2:] == [
        "| de-DE | 1,000 | 100.0% | – | 1 | 100.0% | 100.0% |",
        "| en-US | 1,000 | 100.0% | – | 1 | 100.0% | 100.0% |",
        "| fr-FR | 1,000 | 0.0% | – | 1 | 0.0% | 0.0% |",
    ]
