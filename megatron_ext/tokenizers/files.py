"""Which file holds a tokenizer, and of what kind it is, by a look at its first bytes."""

from __future__ import annotations

import pathlib
import re

# In a folder, the file of each kind: names in the order in which they are looked for.
NAMES = {
    "huggingface": ("tokenizer.json",),
    "sentencepiece": ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "*.model"),
    "tiktoken": ("*.tiktoken", "tokenizer.model", "*.tiktoken.json"),
}
_RANK_LINE = re.compile(rb"[A-Za-z0-9+/]+={0,2} \d+\r?\n")


def find(path: str, kind: str | None = None) -> pathlib.Path | None:
    """The tokenizer's file: `path` itself, or the first fitting file in the folder `path`. None: there is none."""
    place = pathlib.Path(path)
    if not place.is_dir():
        return place if place.exists() else None
    for candidate in NAMES if kind is None else (kind,):
        for name in NAMES.get(candidate, ()):
            for file in sorted(place.glob(name)):
                if sniff(file) == candidate:
                    return file
    return None


def sniff(file: pathlib.Path) -> str | None:
    """The kind of a tokenizer's file: JSON object, JSON list, lines of ranks, or SentencePiece's protobuf."""
    try:
        with open(file, "rb") as opened:
            head = opened.read(4096)
    except OSError:
        return None
    if head.lstrip()[:1] == b"{":
        return "huggingface"
    if head.lstrip()[:1] == b"[" or _RANK_LINE.match(head):
        return "tiktoken"
    return "sentencepiece" if head[:1] == b"\x0a" else None
