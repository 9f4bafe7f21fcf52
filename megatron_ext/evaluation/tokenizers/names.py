"""`NAME=PATH` on a command line: sources of texts, tokenizers, scores of models. A file whose own name has a `=` is a file."""

from __future__ import annotations

import collections
import os
from collections.abc import Sequence

from megatron_ext.corpus.inputs import expand
from megatron_ext.corpus.urls import is_url
from megatron_ext.tokenizers.files import NAMES

_SAYS_NOTHING = {name for names in NAMES.values() for name in names if "*" not in name}
"""Names of files that are the same for every tokenizer: their folder's name tells more."""


def named(value: str) -> tuple[str | None, str]:
    """`(name, path or pattern)`; no name where none is given, as in `day=3/a.jsonl`, which is there, or a URL with a query."""
    name, sign, path = value.partition("=")
    if not sign or not name or "/" in name:
        return None, value
    return (name, path) if is_url(path) or not expand(value) else (None, value)


def named_tokenizers(values: Sequence[str]) -> list[tuple[str, str]]:
    """`(name, path)` of each; a tokenizer without a name has that of its file, or of its folder where all files are called so."""
    found = []
    for value in values:
        name, path = named(value)
        found.append((name or own_name(path), path))
    return found


def own_name(path: str) -> str:
    """`runs/bpe/tokenizer.json` and `runs/bpe/` → bpe; `cl100k_base.tiktoken` → cl100k_base."""
    whole = os.path.abspath(path)
    if os.path.isfile(whole) and os.path.basename(whole) in _SAYS_NOTHING:
        whole = os.path.dirname(whole)
    return os.path.basename(whole) if os.path.isdir(whole) else os.path.splitext(os.path.basename(whole))[0]


def twice(names: Sequence[str]) -> list[str]:
    """Those that are there more than once, each once."""
    return [name for name, count in collections.Counter(names).items() if count > 1]
