"""`--input-format text`: plain text. `--text-sample-by` makes the whole file, each paragraph or each line a document.

A paragraph ends at a blank line. Line ends inside a document stay as they are; the one that ends a line or a paragraph goes.
The payload is the document's bytes; its text goes by the one name that `--json-keys` gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from megatron_ext.corpus.documents import Reject, check_utf8
from megatron_ext.corpus.sources import LONGEST_RECORD, Source

SUFFIXES = (".txt", ".text", ".md", ".rst")
UNIT = "line"


def read(source: Source, keys: Sequence[str], sample_by: str) -> Iterator[tuple[int, bytes | None]]:
    """A document's number is that of its first line."""
    if sample_by == "document":
        whole = source.read(LONGEST_RECORD + 1)
        return iter([(1, whole if len(whole) <= LONGEST_RECORD else None)])
    if sample_by == "paragraph":
        return _paragraphs(source.lines())
    return ((number, line and line.rstrip(b"\r\n")) for number, line in source.lines())


def _paragraphs(lines: Iterator[tuple[int, bytes | None]]) -> Iterator[tuple[int, bytes | None]]:
    first, held, size = 0, [], 0
    for number, line in lines:
        if line is not None and not line.strip():
            if first:
                yield first, _whole(held, size)
            first, held, size = 0, [], 0
            continue
        first = first or number
        size += len(line) if line is not None else LONGEST_RECORD + 1
        if size <= LONGEST_RECORD:
            held.append(line)
        else:
            held.clear()
    if first:
        yield first, _whole(held, size)


def _whole(lines: list[bytes], size: int) -> bytes | None:
    return b"".join(lines).rstrip(b"\r\n") if size <= LONGEST_RECORD else None


def fields(payload: bytes, keys: Sequence[str]) -> Mapping[str, str]:
    if len(keys) > 1:
        raise Reject("key_missing", f"plain text is one text, not {' and '.join(keys)}")
    check_utf8(payload)
    return {keys[0]: payload.decode()}
