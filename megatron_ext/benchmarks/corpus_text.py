"""The text that corpora's benchmark measures on: what a JSONL file holds, or this machine's own Python.

The latter: Python's reference manual (package pydoc_data), its standard library, and the descriptions of the packages that are
installed, cut at line ends into texts of at most some 8,000 characters: prose, markup and code in English, the same on every
machine with the same packages.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import json
import pathlib
import random
import sysconfig
from collections.abc import Iterator
from typing import NamedTuple

from megatron_ext.arguments.problems import UserError

_LONGEST = 8000


class Text(NamedTuple):
    source: str
    text: str


def texts(path: str | None, megabytes: float) -> list[Text]:
    """So many MB of UTF-8, in an order that mixes their sources; all where there is less. UserError: no JSONL with texts."""
    found = list(itertools.chain(_manual(), _library(), _descriptions()) if path is None else _read(path))
    random.Random(1).shuffle(found)
    ends = itertools.accumulate(len(each.text.encode()) for each in found)
    return [each for each, end in zip(found, ends) if end <= 1e6 * megabytes] or found[:1]


def size_of(some: list[str]) -> int:
    return sum(len(text.encode()) for text in some)


def write(path: pathlib.Path, some: list[Text], times: int = 1) -> int:
    """A JSONL file of these texts, `times` over, and its size in bytes."""
    with open(path, "w", encoding="utf-8") as file:
        for number, each in enumerate(itertools.chain.from_iterable(itertools.repeat(some, times))):
            record = {"id": f"benchmark/{number}", "source": each.source, "text": each.text}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return path.stat().st_size


def _read(path: str) -> Iterator[Text]:
    try:
        with open(path, encoding="utf-8") as file:
            for record in map(json.loads, file):
                yield Text(str(record.get("source", "text")), record["text"])
    except (OSError, ValueError, KeyError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}" if not isinstance(error, OSError) else error.strerror
        raise UserError(f"--input {path}: is not JSONL with a key `text` on every line ({reason})") from None


def _manual() -> Iterator[Text]:
    from pydoc_data import topics

    yield from (Text("manual", piece) for topic in topics.topics.values() for piece in _pieces(topic))


def _library() -> Iterator[Text]:
    for path in sorted(pathlib.Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        if "site-packages" not in path.parts:
            for piece in _pieces(path.read_text(encoding="utf-8", errors="ignore")):
                yield Text("library", piece)


def _descriptions() -> Iterator[Text]:
    for package in sorted(importlib.metadata.distributions(), key=lambda package: str(package.metadata["Name"])):
        yield from (Text("packages", piece) for piece in _pieces(package.metadata.get_payload() or ""))


def _pieces(text: str) -> Iterator[str]:
    piece = ""
    for line in text.splitlines(keepends=True):
        if len(piece) + len(line) > _LONGEST and piece.strip():
            yield piece
            piece = ""
        piece += line
    if piece.strip():
        yield piece
