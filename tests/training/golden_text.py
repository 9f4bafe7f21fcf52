"""Real text that is the same on every machine: of the quickstart's three kinds, from packages of one version each.

English is Wikipedia's, out of gensim's wheel; Chinese the Romance of the Three Kingdoms; code the modules of gensim, since
Python's own library, the quickstart's code, is another with every Python. `bash tests/run.sh` brings both packages.
"""

from __future__ import annotations

import json
import pathlib
import zipfile
from collections.abc import Iterator

from examples.quickstart_corpus import wikipedia
from tests.corpus.matching.near_duplicates import NOVEL
from tests.corpus.real_documents import WHEELS

LONGEST = 20_000  # characters of a document
BYTES = {"english": 900_000, "chinese": 250_000, "code": 350_000}


def documents() -> list[str]:
    """Some 1.5 MB, each kind spread over the whole."""
    texts = {"english": _articles(), "chinese": _chapters(), "code": _modules()}
    placed = []
    for kind, most in BYTES.items():
        taken = list(_first(texts[kind], most))
        placed += [(place / len(taken), kind, text) for place, text in enumerate(taken)]
    return [text for _, _, text in sorted(placed)]


def _first(texts: Iterator[str], most: int) -> Iterator[str]:
    size = 0
    while size < most:
        text = next(texts)[:LONGEST]
        size += len(text.encode())
        yield text


def _wheel() -> pathlib.Path:
    (found,) = WHEELS.glob("gensim-*.whl")
    return found


def _articles() -> Iterator[str]:
    return (each.text for each in wikipedia(_wheel()))


def _chapters() -> Iterator[str]:
    return iter(json.loads(NOVEL.read_text()))


def _modules() -> Iterator[str]:
    with zipfile.ZipFile(_wheel()) as wheel:
        for name in sorted(wheel.namelist()):
            if name.endswith(".py"):
                yield wheel.read(name).decode()
