"""`--input-format warc`: crawls in WARC files (ISO 28500): a web page is a document, or a text that somebody extracted (WET).

A page is a `response` record with HTML (its main content, as `--html-extractor` finds it), a text a `conversion` record of
text/plain. Other responses are refused by reason: not HTML, or no success (an error, a redirect). Requests, metadata and the
like are no documents and go unmentioned. Keys: text, id (the WARC-Record-ID), url, date, and title and language as far as
known; source is `warc`.

What lies between records, and how long they are, is read here and not by FastWARC, which takes a record that is cut off for
one of no content, without a word. It then undoes HTTP's part of a record: chunks, compression, headers.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.documents import Reject, check_utf8
from megatron_ext.corpus.packages import package
from megatron_ext.corpus.readers.html import page_of
from megatron_ext.corpus.sources import LONGEST_RECORD, Source

SUFFIXES = (".warc", ".wet")
UNIT = "record"
TEXT = "text"

_LONGEST_HEAD = 2**20
_HTML = ("text/html", "application/xhtml+xml")


def read(source: Source, keys: Sequence[str] | None, flags: Any) -> Iterator[tuple[int, dict[str, Any] | None, None]]:
    number = 0
    while head := _head(source, number + 1):
        number += 1
        about = _headers(head)
        try:
            length = int(about["content-length"])
        except (KeyError, ValueError):
            raise UserError(f"{source.path}, record {number}: is damaged: it does not say how long it is") from None
        kind, content_type = about.get("warc-type", "").lower(), about.get("content-type", "").lower()
        wanted = (kind == "response" and content_type.startswith("application/http")) or kind == "conversion"
        content = _content(source, length, wanted and length <= LONGEST_RECORD, number)
        if wanted:
            record = {"head": head, "content": content, "extractor": flags.html_extractor}
            yield number, record if content is not None else None, None


def _head(source: Source, number: int) -> bytes:
    """The lines of the next record up to the empty one, with it; nothing at the end of the file."""
    lines, size = [], 0
    while line := source.readline(_LONGEST_HEAD):
        if not lines and not line.strip():
            continue  # two empty lines end a record
        if not lines and not line.startswith(b"WARC/"):
            raise UserError(f"{source.path}, record {number}: is damaged or no WARC file: it begins with {bytes(line[:40])!r}")
        lines.append(line)
        size += len(line)
        if not line.strip():
            return b"".join(lines)
        if size >= _LONGEST_HEAD:
            raise UserError(f"{source.path}, record {number}: is damaged: its headers do not end")
    if lines:
        raise UserError(f"{source.path}, record {number}: is cut off in its headers")
    return b""


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("utf-8", "replace").replace("\r\n ", " ").replace("\r\n\t", " ").splitlines()[1:]
    return {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name}


def _content(source: Source, length: int, wanted: bool, number: int) -> bytes | None:
    """The record's bytes; None where they are not wanted, which then pass by in pieces."""
    held, left = [], length
    while left:
        piece = source.read_bytes(min(left, 2**20))
        if not piece:
            raise UserError(f"{source.path}, record {number}: is cut off: {length - left:,} of its {length:,} bytes are there")
        left -= len(piece)
        if wanted:
            held.append(piece)
    return b"".join(held) if wanted else None


def fields(payload: dict[str, Any], keys: Sequence[str] | None) -> dict[str, Any]:
    about = _headers(payload["head"])
    known = {"id": about.get("warc-record-id", "").strip("<>"), "url": about.get("warc-target-uri", "").strip("<>")}
    known |= {"date": about.get("warc-date"), "source": "warc"}
    if about["warc-type"].lower() == "conversion":
        check_utf8(payload["content"])
        language = about.get("warc-identified-content-language", "").partition(",")[0]
        found = {"text": payload["content"].decode(), "language": language}
    else:
        found = _page(payload)
    return {
        key: value for key, value in (found | {name: each for name, each in known.items() if each}).items() if value is not None
    }


def _page(payload: dict[str, Any]) -> dict[str, Any]:
    warc = package("fastwarc.warc", "WARC files")
    try:
        record = next(warc.ArchiveIterator(io.BytesIO(payload["head"] + payload["content"]), auto_decode="transfer"))
        status, kind, charset = record.http_headers.status_code, record.http_content_type or "", record.http_charset
        coding = record.http_headers.get("Content-Encoding") or ""
        body = record.reader.read()
    except (StopIteration, AttributeError, OSError, ValueError) as error:
        raise Reject("damaged", f"the HTTP response cannot be read ({error or 'no headers'})") from None
    if status is None:
        raise Reject("damaged", "the HTTP response has no status")
    if not 200 <= status < 300:
        raise Reject("http_status", f"HTTP status {status}")
    if kind.lower() not in _HTML:
        raise Reject("not_html", f"the content is {kind or 'of no said type'}")
    html = _decompressed(body, coding.strip().lower(), "warc-truncated" in _headers(payload["head"]))
    return page_of(html, charset, payload["extractor"])


def _decompressed(body: bytes, coding: str, truncated: bool) -> bytes:
    """The page below its Content-Encoding. Crawlers may have undone it and kept its header.

    FastWARC's own way takes data that are cut off for whole."""
    magic = {"gzip": b"\x1f\x8b", "x-gzip": b"\x1f\x8b", "deflate": b"", "br": b""}.get(coding)
    if magic is None or not body.startswith(magic) or body.lstrip()[:1] == b"<":
        return body
    try:
        if coding == "br":
            inflater = package("brotli", "WARC files").Decompressor()
            html = inflater.process(body, output_buffer_limit=LONGEST_RECORD + 1)
            whole = inflater.is_finished()
        else:
            raw = coding == "deflate" and (body[0] & 15 != 8 or int.from_bytes(body[:2], "big") % 31)  # without zlib's header
            inflater = zlib.decompressobj(-15 if raw else 47)
            html = inflater.decompress(body, LONGEST_RECORD + 1)
            whole = inflater.eof
    except Exception as error:  # zlib.error and brotli.error have no common name
        raise Reject("damaged", f"the page's {coding} data cannot be read ({error})") from None
    if len(html) > LONGEST_RECORD:
        raise Reject("too_long", "the page is longer than a record may be")
    if not whole and not truncated:
        raise Reject("damaged", f"the page's {coding} data are cut off")
    return html
