"""Which files `--input` names, in which order, of which format each one is, and where a big one may be cut.

A name is that of a file, a URL of one, a pattern of either, or a folder for the formats that take folders.
"""

from __future__ import annotations

import functools
import glob
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

from megatron_ext.arguments.registry import Registry
from megatron_ext.corpus import urls
from megatron_ext.corpus.sources import COMPRESSED


def expand(pattern: str) -> list[str]:
    """The files of a name or pattern; those of a pattern sorted by name, so that the order is the same everywhere."""
    if urls.is_url(pattern):
        return urls.files_of(pattern)
    if os.path.exists(pattern):
        return [pattern]
    return sorted(path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path))


def expand_all(patterns: Sequence[str], leave_out: Sequence[str] = ()) -> list[str]:
    """All files, in the order in which they were asked for. A pattern does not match `leave_out`, the files and folders that the
    run itself writes."""
    found = []
    for pattern in patterns:
        files = expand(pattern)
        found += [file for file in files if file == pattern or not any(_within(file, other) for other in leave_out)]
    return found


def _within(path: str, other: str) -> bool:
    """Whether it is the other one or lies below it."""
    return not urls.is_url(path) and f"{os.path.abspath(path)}/".startswith(f"{os.path.abspath(other)}/")


def size_on_disk(files: Sequence[str]) -> int:
    """Bytes of the files; one that has vanished counts 0, and is spoken of when its turn comes."""
    return sum(size_of(file) for file in files if urls.is_url(file) or os.path.exists(file))


def size_of(file: str) -> int:
    """Bytes of a file or URL, or of all files below a folder."""
    return urls.size_of(file) if urls.is_url(file) else sum(found.st_size for found in _stats(file))


def state_of(file: str) -> str:
    """A word that is another one after any writing to the file or URL, or to a file below the folder."""
    if urls.is_url(file):
        return urls.state_of(file)
    found = list(_stats(file))
    return f"{len(found)} {sum(each.st_size for each in found)} {max(each.st_mtime_ns for each in found)}"


def _stats(path: str) -> Iterator[os.stat_result]:
    """Of a file; or of a folder and all that is below it."""
    yield os.stat(path)
    if os.path.isdir(path):
        for folder, _, files in os.walk(path):
            yield from (os.lstat(os.path.join(folder, file)) for file in files)


def format_of(path: str, readers: Registry) -> str | None:
    """The format that a file's ending tells, below .gz or .zst: the longest that fits; of a folder, what lies in it."""
    suffixes, signs = _told_by(readers)
    if os.path.isdir(path):
        return next((reader for sign, reader in signs.items() if os.path.exists(os.path.join(path, sign))), None)
    name = urls.name_of(path).lower()
    for ending in COMPRESSED:
        name = name.removesuffix(ending)
    return suffixes.get(max(filter(name.endswith, suffixes), key=len, default=""))


@functools.cache
def _told_by(readers: Registry) -> tuple[dict[str, str], dict[str, str]]:
    """The formats by ending, and by a folder's sign."""
    loaded = {reader: readers.load(reader) for reader in readers}
    suffixes = {suffix: reader for reader, module in loaded.items() for suffix in module.SUFFIXES}
    return suffixes, {module.FOLDER_SIGN: reader for reader, module in loaded.items() if takes_folders(module)}


def takes_folders(reader: Any) -> bool:
    return hasattr(reader, "FOLDER_SIGN")


def is_one_document(reader: Any, flags: Any) -> bool:
    """Whether each file of the format is one document."""
    return hasattr(reader, "is_one_document") and reader.is_one_document(flags)


def parts(path: str, reader: Any, flags: Any, size: float) -> list[tuple[int, int | None]]:
    """Ranges `(begin, end)` of a file, in order, for `Source`: of about `size` bytes, or the whole where it cannot be cut."""
    cut = getattr(reader, "parts", None)
    if cut is None or urls.name_of(path).lower().endswith(COMPRESSED) or (urls.is_url(path) and not urls.can_be_cut(path)):
        return [(0, None)]
    return cut(path, flags, size)


def even_parts(path: str, size: float) -> list[tuple[int, int | None]]:
    """Ranges of one size, for a file of lines."""
    count = max(math.ceil(size_of(path) / size), 1)
    edges = [round(size * number) for number in range(count)]
    return list(zip(edges, [*edges[1:], None]))
