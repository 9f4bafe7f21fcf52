"""`--input-format csv`: comma-separated values (RFC 4180) or, by the ending .tsv, tabs; the first row names the columns.

A record is a row, a document with all columns as texts: Jigsaw's comments, say, with `--text-key comment_text`. Values in quotes
may hold line ends, so a file is never cut. The payload is the row: bytes by column, which may not be UTF-8; of a row that has
other columns than the first one, how many it has.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import Any

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.documents import Reject, check_utf8
from megatron_ext.corpus.sources import LONGEST_RECORD, Source
from megatron_ext.corpus.urls import name_of

SUFFIXES = (".csv", ".tsv")
UNIT = "row"

_COUNT = "\0columns"  # no column's name
_AS_BYTES = ("utf-8", "surrogateescape")


def read(source: Source, keys: Sequence[str] | None, flags: Any) -> Iterator[tuple[int, dict[str, Any] | None, int]]:
    """A row's number counts from 1, below the names; its place is that of its first byte."""
    rows = _rows(source)
    names = [name.encode(*_AS_BYTES).decode("utf-8", "replace") for name in next(rows, (0, []))[1]]
    for number, (place, row) in enumerate(rows, 1):
        if len(row) != len(names):
            yield number, {_COUNT: (len(row), len(names))}, place
            continue
        values = [value.encode(*_AS_BYTES) for value in row]
        yield number, dict(zip(names, values)) if sum(map(len, values)) <= LONGEST_RECORD else None, place


def require(source: Source, keys: Sequence[str]) -> None:
    with Source(source.path) as again:
        names = next(_rows(again), (0, []))[1]
    missing = [key for key in keys if key not in names]
    if missing:
        raise UserError(f"{source.path}: has no column {missing[0]}; its columns are {', '.join(names)}")


def _rows(source: Source) -> Iterator[tuple[int, list[str]]]:
    """`(offset of its first byte, values)` of each row that is not empty. UserError: a quote is never closed."""
    begins: list[int] = []

    def lines() -> Iterator[str]:
        for number, line in source.lines():
            if line is None:
                raise UserError(f"{source.path}: line {number:,} is longer than {LONGEST_RECORD / 2**20:g} MiB")
            begins.append(source.at)
            yield line.decode(*_AS_BYTES)

    csv.field_size_limit(LONGEST_RECORD)  # the module's own is 128 KiB
    tabs = ".tsv" in name_of(source.path).lower()
    reader = csv.reader(lines(), delimiter="\t" if tabs else ",")
    while True:
        begins.clear()
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UserError(f"{source.path}: cannot be read as CSV at byte {begins[0]:,} ({error}); is a quote open?") from None
        if row:
            yield begins[0], row


def fields(payload: dict[str, Any], keys: Sequence[str] | None) -> dict[str, Any]:
    if _COUNT in payload:
        found, expected = payload[_COUNT]
        raise Reject("damaged", f"the row has {found} columns, the first one {expected}")
    record: dict[str, Any] = {}
    for key, value in payload.items():
        try:
            record[key] = value.decode()
        except UnicodeDecodeError:
            if keys is not None and key in keys:
                check_utf8(value)
            record[key] = value
    return record
