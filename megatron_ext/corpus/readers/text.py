"""`--input-format text`: plain text. `--text-sample-by` makes the whole file, each paragraph or each line a document.

A paragraph ends at a blank line. Line ends inside a document stay as they are; the one that ends a line or a paragraph goes.
The payload is the document's bytes; its text goes by the one name that `--json-keys` gives, or `text`. Only by lines a file
may be cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from megatron_ext.corpus.documents import Reject, check_utf8
from megatron_ext.corpus.inputs import even_parts
from megatron_ext.corpus.sources import LONGEST_RECORD, Source

SUFFIXES = (".txt", ".text", ".md", ".rst")
UNIT = "line"
TEXT = "text"


def is_one_document(flags: Any) -> bool:
    return flags.text_sample_by == "document"


def read(source: Source, keys: Sequence[str] | None, flags: Any) -> Iterator[tuple[int, bytes | None, int]]:
    """A document's number is that of its first line, its place that of its first byte."""
    if flags.text_sample_by == "document":
        whole = source.read(LONGEST_RECORD + 1)
        return iter([(1, whole if len(whole) <= LONGEST_RECORD else None, 0)])
    if flags.text_sample_by == "paragraph":
        return _paragraphs(source)
    return ((number, line and line.rstrip(b"\r\n"), source.at) for number, line in source.lines())


def parts(path: str, flags: Any, size: float) -> list[tuple[int, int | None]]:
    return even_parts(path, size) if flags.text_sample_by == "line" else [(0, None)]


def _paragraphs(source: Source) -> Iterator[tuple[int, bytes | None, int]]:
    first, place, held, size = 0, 0, [], 0
    for number, line in source.lines():
        if line is not None and not line.strip():
            if first:
                yield first, _whole(held, size), place
            first, held, size = 0, [], 0
            continue
        if not first:
            first, place = number, source.at
        size += len(line) if line is not None else LONGEST_RECORD + 1
        if size <= LONGEST_RECORD:
            held.append(line)
        else:
            held.clear()
    if first:
        yield first, _whole(held, size), place


def _whole(lines: list[bytes], size: int) -> bytes | None:
    return b"".join(lines).rstrip(b"\r\n") if size <= LONGEST_RECORD else None


def fields(payload: bytes, keys: Sequence[str] | None) -> dict[str, str]:
    keys = keys or ("text",)
    if len(keys) > 1:
        raise Reject("key_missing", f"plain text is one text, not {' and '.join(keys)}")
    check_utf8(payload)
    return {keys[0]: payload.decode()}
