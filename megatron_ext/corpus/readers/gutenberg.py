"""`--input-format gutenberg`: a book of Project Gutenberg in plain text a file, without the frame that is put around each.

The frame is all up to `*** START OF … PROJECT GUTENBERG …` (older: `*END*THE SMALL PRINT! …*END*`), with the lines behind it
that say who made the file, and all from `*** END OF …` or `End of Project Gutenberg's …` on. A file that lacks either end is
refused: it is cut off, or no such book. Keys: text, id (`gutenberg-1342`), title, author, language, source (`gutenberg`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from megatron_ext.corpus.documents import Reject, check_utf8
from megatron_ext.corpus.sources import LONGEST_RECORD, Source

SUFFIXES = ()
UNIT = "book"
TEXT = "text"

_START = re.compile(r"^\*\*\* ?START OF TH(?:E|IS) PROJECT GUTENBERG.*?\*\*\*[ \t]*$", re.M | re.I | re.S)
_OLD_START = re.compile(r"^\*END[ *]*THE SMALL PRINT!.*$", re.M | re.I)
_END = re.compile(
    r"^[ \t]*(?:\*\*\* ?END OF TH(?:E|IS) PROJECT GUTENBERG|End of (?:the |this )?Project Gutenberg).*", re.M | re.I | re.S
)
_MAKERS = re.compile(r"\s*(?:(?:Produced|Prepared|Transcribed|E-?text prepared|Updated) by\b.*?(?:\n[ \t]*\n|\Z))+", re.I | re.S)
_SAYS = re.compile(r"^(Title|Author|Language|Character set encoding): *(.*(?:\n[ \t]+\S.*)*)", re.M | re.I)
_NUMBER = re.compile(r"\[ ?e(?:Book|text) *#? ?(\d+) ?\]", re.I)
_LONGEST_FRAME = 30_000


def is_one_document(flags: Any) -> bool:
    return True


def read(source: Source, keys: Sequence[str] | None, flags: Any) -> Iterator[tuple[int, bytes | None, None]]:
    whole = source.read(LONGEST_RECORD + 1)
    yield 1, whole if len(whole) <= LONGEST_RECORD else None, None


def fields(payload: bytes, keys: Sequence[str] | None) -> dict[str, Any]:
    whole = _decoded(payload).replace("\r\n", "\n")
    if not whole.strip():
        raise Reject("empty", "the file is empty")
    start = _START.search(whole, 0, _LONGEST_FRAME) or _last(_OLD_START.finditer(whole, 0, _LONGEST_FRAME))
    if start is None:
        raise Reject("no_frame", "there is no line '*** START OF THE PROJECT GUTENBERG EBOOK'")
    end = _END.search(whole, start.end())
    if end is None:
        raise Reject("no_frame", "there is no line '*** END OF THE PROJECT GUTENBERG EBOOK': the file may be cut off")
    frame, text = whole[: start.start()], whole[start.end() : end.start()]
    makers = _MAKERS.match(text)
    told = {key.lower(): " ".join(value.split()) for key, value in _SAYS.findall(frame)}
    number = _NUMBER.search(frame)
    known = {"id": f"gutenberg-{number[1]}" if number else None} | {key: told.get(key) for key in ("title", "author", "language")}
    found = {"text": text[makers.end() if makers else 0 :].strip("\n"), "source": "gutenberg"}
    return found | {key: value for key, value in known.items() if value}


def _last(matches: Iterator[re.Match]) -> re.Match | None:
    return max(matches, key=lambda match: match.end(), default=None)


def _decoded(payload: bytes) -> str:
    """UTF-8, or what the frame says; older files are in Latin-1, and say so."""
    try:
        return payload.decode()
    except UnicodeDecodeError:
        said = dict(_SAYS.findall(payload[:_LONGEST_FRAME].decode("latin-1"))).get("Character set encoding", "").strip().lower()
        try:
            return payload.decode({"iso-latin-1": "iso-8859-1", "windows codepage 1252": "cp1252"}.get(said, said or "utf-8"))
        except (UnicodeDecodeError, LookupError):
            check_utf8(payload)
            raise
