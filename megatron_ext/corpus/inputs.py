"""Which files `--input` names, in which order, and of which format each one is."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence

from megatron_ext.arguments.registry import Registry

COMPRESSED = (".gz", ".zst")


def expand(pattern: str) -> list[str]:
    """The files of a name or pattern; those of a pattern sorted by name, so that the order is the same everywhere."""
    if os.path.exists(pattern):
        return [pattern]
    return sorted(path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path))


def expand_all(patterns: Sequence[str], leave_out: str | None = None) -> list[str]:
    """All files, in the order in which they were asked for. A pattern does not match `leave_out`, what the run itself writes."""
    found = []
    for pattern in patterns:
        files = expand(pattern)
        found += [file for file in files if file == pattern or leave_out is None or not _same(file, leave_out)]
    return found


def _same(one: str, other: str) -> bool:
    return os.path.abspath(one) == os.path.abspath(other)


def size_on_disk(files: Sequence[str]) -> int:
    """Bytes of the files; one that has vanished counts 0, and is spoken of when its turn comes."""
    return sum(os.path.getsize(file) for file in files if os.path.exists(file))


def format_of(path: str, readers: Registry) -> str | None:
    """The format that a file's ending tells, below .gz or .zst."""
    name = path.lower()
    for ending in COMPRESSED:
        name = name.removesuffix(ending)
    for reader in readers:
        if name.endswith(readers.load(reader).SUFFIXES):
            return reader
    return None
