"""Which file holds a tokenizer, and of what kind it is, by a look at its first bytes; and what goes with it where it is kept."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping
from typing import Any

# In a folder, the file of each kind: names in the order in which they are looked for.
NAMES = {
    "huggingface": ("tokenizer.json",),
    "sentencepiece": ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "*.model"),
    "tiktoken": ("*.tiktoken", "tokenizer.model", "*.tiktoken.json"),
}
# What may lie beside a tokenizer's file: of its text and ids, what generation starts and ends with, whose it is.
BESIDE = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt",
          "tokenizer.model", "spiece.model", "chat_template.jinja", "generation_config.json", "config.json")  # fmt: skip
_OF_GPT2 = {"vocab_file": "vocab.json", "merge_file": "merges.txt"}
PATHS = ("tokenizer_model", *_OF_GPT2)
"""The flags that name files."""
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


def named(path: str) -> dict[str, str]:
    """The flags by field that load the tokenizer of a file or a folder, GPT-2's two files among them; none where none is."""
    file = find(path)
    if file is not None and (kind := sniff(file)) is not None:
        return {"tokenizer_type": kind, "tokenizer_model": path}
    two = {field: pathlib.Path(path) / name for field, name in _OF_GPT2.items()}
    if all(each.is_file() for each in two.values()):
        return {"tokenizer_type": "gpt2_bpe", **{field: str(each) for field, each in two.items()}}
    return {}


def contents(flags) -> dict[str, bytes]:
    """The files of the tokenizer that checked flags name, and what lies beside them, by the names that `kept_in` knows."""
    files = {name: pathlib.Path(getattr(flags, field)) for field, name in _OF_GPT2.items() if getattr(flags, field) is not None}
    if flags.tokenizer_model is not None:
        file = find(flags.tokenizer_model, flags.tokenizer_type)
        beside = (file.parent / name for name in BESIDE)
        files |= {each.name: each for each in (*beside, file) if each.is_file()}
    return {name: file.read_bytes() for name, file in files.items()}


def kept_in(folder: pathlib.Path, values: Mapping[str, Any]) -> dict[str, str]:
    """The flags of `PATHS` by which a tokenizer is loaded from what `contents` gave of it, kept in a folder.

    Args:
        values: flags by field that it was loaded by before.
    """
    found = {field: str(folder / name) for field, name in _OF_GPT2.items() if values.get(field)}
    if before := values.get("tokenizer_model"):
        own = folder / pathlib.PurePath(before).name
        found["tokenizer_model"] = str(own if own.is_file() else folder)
    return found
