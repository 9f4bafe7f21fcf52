"""Held-out documents from a JSONL file, by source."""

from __future__ import annotations

import json

from megatron_ext.arguments.problems import UserError


def by_source(path: str, text_key: str, source_key: str, most: int | None) -> dict[str, list[str]]:
    """Texts by the value of `source_key` (one group `all` where it is missing), at most `most` of each, in the file's order."""
    groups: dict[str, list[str]] = {}
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                source, text = _document(line, text_key, source_key, f"--documents {path}, line {number}")
                texts = groups.setdefault(source, [])
                if most is None or len(texts) < most:
                    texts.append(text)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--documents {path}: cannot be read: {error}") from None
    if not groups:
        raise UserError(f"--documents {path}: holds no document")
    return groups


def _document(line: str, text_key: str, source_key: str, where: str) -> tuple[str, str]:
    try:
        record = json.loads(line)
        if not isinstance(record[text_key], str):
            raise TypeError(f"its value is {type(record[text_key]).__name__}")
        return str(record.get(source_key, "all")), record[text_key]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UserError(f"{where}: expected a JSON object with the key {text_key!r} ({error})") from None
