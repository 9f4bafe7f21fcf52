"""`--input-format jsonl`: one JSON object a line, a document with all its keys. The payload is the line's bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from megatron_ext.corpus.documents import Reject, check_utf8
from megatron_ext.corpus.inputs import even_parts
from megatron_ext.corpus.sources import Source

SUFFIXES = (".jsonl", ".json", ".ndjson")
UNIT = "line"


def read(source: Source, keys: Sequence[str] | None, flags: Any) -> Iterator[tuple[int, bytes | None, int]]:
    return ((number, line, source.at) for number, line in source.lines())


def parts(path: str, flags: Any, size: float) -> list[tuple[int, int | None]]:
    return even_parts(path, size)


def fields(payload: bytes, keys: Sequence[str] | None) -> dict[str, Any]:
    try:
        record = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        record = _second_look(payload, str(error))
    if not isinstance(record, dict):
        raise Reject("not_an_object", f"the line holds a {type(record).__name__}")
    return record


def _second_look(payload: bytes, complaint: str) -> Any:
    """Why orjson refused a line; or the record, where Python's json is content with it (NaN, half a surrogate pair)."""
    if not payload.strip():
        raise Reject("empty", "the line is empty")
    check_utf8(payload)
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        raise Reject("not_json", complaint) from None
