"""From input files to texts and documents: what a record is, and why one is not used.

`records` reads, in one process; `texts` and `document` look into a record, in any process. Between them a record is `Record`:
the place it came from and a payload that nobody has looked into yet.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.analysis import Analysis
from megatron_ext.corpus.flags import InputFlags
from megatron_ext.corpus.inputs import takes_folders
from megatron_ext.corpus.sources import Source
from megatron_ext.corpus.urls import is_url
from megatron_ext.corpus.utf8 import scan

REASONS = {
    "not_json": "not JSON",
    "not_an_object": "not a JSON object",
    "key_missing": "key missing",
    "not_text": "value not a text",
    "not_utf8": "not UTF-8",
    "lone_surrogate": "half a surrogate pair",
    "empty": "empty",
    "too_long": "too long",
    "damaged": "damaged",
    "not_html": "not HTML",
    "http_status": "not a page but an error or a redirect",
    "no_main_file": "no main file",
    "no_frame": "Project Gutenberg's frame is missing",
    "no_parent": "what it answers is missing",
    "binary": "not a text file",
    "unreadable": "cannot be read",
    "encrypted": "encrypted",
    "no_tokens": "no tokens",
    "not_tokenized": "refused by the tokenizer",
}
"""Why a record is not used, and how a person reads it."""


class Reject(Exception):
    """A record that is not used: `reason` of REASONS, a detail, and the offset in the record where that is known."""

    def __init__(self, reason: str, detail: str, byte: int | None = None):
        super().__init__(detail)
        self.reason, self.detail, self.byte = reason, detail, byte


class Record(NamedTuple):
    """A record that was read.

    Attributes:
        number: from 1, in the reader's UNIT; where a range of the file was read, from the range's begin.
        payload: what `fields` looks into; None for a record that is longer than anything that can be used.
        place: what tells it from the file's others however the file was cut: the offset of its first byte; None: its number.
    """

    file: str
    number: int
    payload: Any
    place: int | None = None

    @property
    def id(self) -> str:
        """The name of a document that brings none: the file's as it was given, and the place in it."""
        return f"{self.file}:{self.number if self.place is None else self.place}"


def check_utf8(text: bytes) -> None:
    """Reject text that is not UTF-8, by the offset of its first bad byte."""
    valid = scan(text).valid_up_to
    if valid < len(text):
        raise Reject("not_utf8", f"byte 0x{text[valid]:02x} is not UTF-8 here", valid)


def open_source(path: str, reader: Any, begin: int = 0, end: int | None = None) -> Source:
    """The file as a module of `readers` takes it, or a range of it (`inputs.parts`)."""
    return Source(path, begin, end, folder=takes_folders(reader))


def records(
    source: Source, reader: Any, keys: Sequence[str] | None, flags: InputFlags | str, needed: Sequence[str] = ()
) -> Iterator[Record]:
    """The records of one file by one module of `readers`. UserError: the file is cut off, damaged or cannot be read.

    Args:
        keys: what is wanted of each record; None: all that it has.
        flags: anything with the attributes of `InputFlags`; a word is its `text_sample_by` alone.
        needed: keys without which the file is of no use, where all its records have the same ones.
    """
    flags = InputFlags(text_sample_by=flags) if isinstance(flags, str) else flags
    try:
        if needed and hasattr(reader, "require"):
            reader.require(source, needed)
        for number, payload, place in reader.read(source, keys, flags):
            yield Record(source.path, number, payload, place)
    except OSError as error:
        raise UserError(f"{source.path}: cannot be read ({error.strerror or error})") from None


def texts(record: Record, reader: Any, keys: Sequence[str]) -> list[str]:
    """The record's texts, one a key, each one fit to be encoded; else Reject."""
    if record.payload is None:
        raise Reject("too_long", "the record is longer than a record may be")
    found = reader.fields(record.payload, keys)
    return [_text(found, key) for key in keys]


def source_of(file: str, c: Any) -> str | None:
    """The source that flags (`DocumentFlags`) give to the documents of a file; None: they tell it themselves."""
    if c.sources_below is None or is_url(file):
        return c.source
    folder, _, rest = os.path.relpath(file, c.sources_below).partition(os.sep)
    return folder if rest and folder != os.pardir else None


def name_of(reader: Any) -> str:
    """The name of a module of `readers`."""
    return reader.__name__.rpartition(".")[2]


def document(record: Record, reader: Any, key: str = "text", source: str | None = None) -> Document:
    """The record as a document whose text is under `key`, with all that it brings; Reject where that is not fit to be used.

    Its source is `source`, where that is given (`source_of`), else its own `source`, else the reader's name. Its id is its own
    `id`, else the place where it was read.
    """
    if record.payload is None:
        raise Reject("too_long", "the record is longer than a record may be")
    values = reader.fields(record.payload, None)
    if key not in values and hasattr(reader, "TEXT"):
        values[key] = values.pop(reader.TEXT)
    if isinstance(values.get(key), bytes):
        check_utf8(values[key])
    _text(values, key)
    own = named(values.get("source"))
    found = Document(named(values.get("id")) or record.id, source or own or name_of(reader), values, key)
    for name, value in values.items():
        if isinstance(value, bytes):  # not UTF-8, and not the text
            values[name] = base64.b64encode(value).decode()
    if source and "source" in values and own != source:
        found.set("source", source)
    return found


def named(value: Any) -> str | None:
    """A record's `id` or `source` as text; None where it has none."""
    return value or None if isinstance(value, str) else None if value is None else json.dumps(value)


def dumps(value: Any) -> bytes:
    """JSON. What orjson does not write, Python's json does: integers beyond 64 bits, halves of surrogate pairs."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value).encode()


def _text(found: Any, key: str) -> str:
    if key not in found:
        raise Reject("key_missing", f"there is no {key!r}")
    text = found[key]
    if not isinstance(text, str):
        raise Reject("not_text", f"{key!r} holds {'null' if text is None else type(text).__name__}")
    if not text or text.isspace():
        raise Reject("empty", f"{key!r} is empty")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Reject("lone_surrogate", f"{key!r} holds U+{ord(text[error.start]):04X} at character {error.start}") from None
    return text


class Document:
    """A record on its way through the steps.

    Attributes:
        id: its `id`, or where it was read: `crawl.jsonl:17`.
        source: its `source`, or what its reader says.
        values: the whole record, by key; what no step edits goes out as it came.
        text: the text that steps look at, `values[key]`.
        edited: the keys that a step changed since it was read.
        analysis: what rules measure in the text, kept until it changes.
    """

    __slots__ = ("_analysis", "edited", "id", "key", "source", "values")

    def __init__(self, id: str, source: str, values: dict[str, Any], key: str = "text"):
        self.id, self.source, self.values, self.key = id, source, values, key
        self.edited: set[str] = set()
        self._analysis = None

    def set(self, key: str, value: Any) -> None:
        """Write a value into the record."""
        self.values[key] = value
        self.edited.add(key)

    @property
    def text(self) -> str:
        return self.values[self.key]

    @text.setter
    def text(self, text: str) -> None:
        self.set(self.key, text)
        self._analysis = None

    def size(self) -> int:
        """Bytes of the text in UTF-8."""
        return len(self.text) if self.text.isascii() else len(self.text.encode())

    @property
    def analysis(self) -> Analysis:
        if self._analysis is None:
            self._analysis = Analysis(self.text)
        return self._analysis
