"""`--input-format html`: a web page a file; its text is its main content, as `--html-extractor` finds it.

The charset is that of the page (`html_text.decode`). Keys: text, and title, language and url as far as the page tells them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from megatron_ext.corpus.documents import Reject
from megatron_ext.corpus.html_text import decode, page
from megatron_ext.corpus.sources import LONGEST_RECORD, Source

SUFFIXES = (".html", ".htm", ".xhtml")
UNIT = "page"
TEXT = "text"


def is_one_document(flags: Any) -> bool:
    return True


def read(source: Source, keys: Sequence[str] | None, flags: Any) -> Iterator[tuple[int, dict[str, Any] | None, None]]:
    whole = source.read_bytes(LONGEST_RECORD + 1)
    payload = {"html": whole, "extractor": flags.html_extractor}
    yield 1, payload if len(whole) <= LONGEST_RECORD else None, None


def fields(payload: dict[str, Any], keys: Sequence[str] | None) -> dict[str, Any]:
    return page_of(payload["html"], None, payload["extractor"])


def page_of(html: bytes, charset: str | None, extractor: str) -> dict[str, Any]:
    """What is known of a page. Reject: more than one character in 50 means nothing in any charset that is said or guessed."""
    text = decode(html, charset)
    unknown = text.count("\ufffd")
    if unknown * 50 > len(text):
        raise Reject("not_utf8", f"{unknown} of {len(text)} characters mean nothing in the charset that is said or guessed")
    return page(text, extractor).known()
