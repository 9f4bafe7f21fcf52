"""Real text of two classes that every Python brings: documentation as prose, and what Python says of its imports."""

from __future__ import annotations

import functools
import pathlib
import subprocess
import sys
from pydoc_data.topics import topics

from tests import texts

SIZE = 300


@functools.cache
def prose() -> list[str]:
    """Pieces of Python's language reference."""
    return [text[at : at + SIZE] for text in topics.values() for at in range(0, len(text) - SIZE, SIZE)][:600]


@functools.cache
def logs() -> list[str]:
    """Pieces of the log of `python -v`."""
    told = subprocess.run([sys.executable, "-v", "-c", "import asyncio, unittest.mock, http.client, numpy"],
                          capture_output=True, text=True, check=True).stderr  # fmt: skip
    return [told[at : at + SIZE] for at in range(0, len(told) - SIZE, SIZE)][:600]


def write(folder: pathlib.Path, count: int = 600) -> list[str]:
    """good.jsonl and bad.jsonl, as the tool's flags."""
    good, bad = (
        texts.write_jsonl(folder / f"{name}.jsonl", pieces[:count]) for name, pieces in (("good", prose()), ("bad", logs()))
    )
    return ["--good", str(good), "--bad", str(bad)]
