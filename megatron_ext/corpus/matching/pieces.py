"""A text in pieces: its lines; its sentences, by their marks and without a model; its paragraphs, at blank lines."""

from __future__ import annotations

import re
from collections.abc import Iterator

_CLOSING = "\"'”’»)\\]）」』】》"
_BORDERS = {
    "line": re.compile(r"\n"),
    "sentence": re.compile(rf"[.!?…]+[{_CLOSING}]*\s+|[。！？｡]+[{_CLOSING}]*\s*|\n\s*"),
    "paragraph": re.compile(r"\n(?:[^\S\n]*\n)+"),
}


def pieces(text: str, kind: str) -> Iterator[str]:
    """The text in pieces, each with the border behind it: joined they are the text."""
    begin = 0
    for border in _BORDERS[kind].finditer(text):
        yield text[begin : border.end()]
        begin = border.end()
    if begin < len(text):
        yield text[begin:]
