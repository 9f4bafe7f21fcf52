"""`--input-format epub`: a book in EPUB (2 or 3) a file: its chapters in the order of the spine, each to text.

An EPUB is a zip; `META-INF/container.xml` names the package file, whose spine names XHTML files in reading order. What comes
out of the zip is bounded to LONGEST_RECORD, whatever its directory says. Keys: text, and id, title, author, language and
license as the package file has them (Dublin Core).
"""

from __future__ import annotations

import io
import posixpath
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree import ElementTree

from megatron_ext.corpus.documents import Reject
from megatron_ext.corpus.html_text import decode, whole_text
from megatron_ext.corpus.sources import LONGEST_RECORD, Source

SUFFIXES = (".epub",)
UNIT = "book"
TEXT = "text"

_PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")
_KEYS = {"identifier": "id", "title": "title", "creator": "author", "language": "language", "rights": "license"}


def is_one_document(flags: Any) -> bool:
    return True


def read(source: Source, keys: Sequence[str] | None, flags: Any) -> Iterator[tuple[int, bytes | None, None]]:
    whole = source.read_bytes(LONGEST_RECORD + 1)
    yield 1, whole if len(whole) <= LONGEST_RECORD else None, None


def fields(payload: bytes, keys: Sequence[str] | None) -> dict[str, Any]:
    try:
        book = _Book(payload)
        package = book.package()
        chapters = [whole_text(decode(book.content(name))) for name in book.spine(package)]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise Reject("damaged", f"the file is no whole zip ({error})") from None
    except ElementTree.ParseError as error:
        raise Reject("damaged", f"an XML file of the book cannot be read ({error})") from None
    return {"text": "\n\n".join(filter(None, chapters))} | _about(package)


class _Book:
    """The zip, of which no more than LONGEST_RECORD bytes are taken out."""

    def __init__(self, payload: bytes):
        self._zip, self._left = zipfile.ZipFile(io.BytesIO(payload)), LONGEST_RECORD

    def content(self, name: str) -> bytes:
        try:
            with self._zip.open(name) as file:
                found = file.read(self._left + 1)
        except KeyError:
            raise Reject("damaged", f"the book has no {name}") from None
        self._left -= len(found)
        if self._left < 0:
            raise Reject("too_long", "the book is longer than a record may be, once unpacked")
        return found

    def package(self) -> ElementTree.Element:
        """The package file's content; its `base` is the folder that its names begin in."""
        container = ElementTree.fromstring(self.content("META-INF/container.xml"))
        rootfile = container.find(".//{*}rootfile")
        if rootfile is None or not rootfile.get("full-path"):
            raise Reject("damaged", "META-INF/container.xml names no package file")
        self._base = posixpath.dirname(rootfile.get("full-path"))
        return ElementTree.fromstring(self.content(rootfile.get("full-path")))

    def spine(self, package: ElementTree.Element) -> Iterator[str]:
        """The names of the pages, in reading order."""
        items = {item.get("id"): item for item in package.iterfind("{*}manifest/{*}item")}
        locked = self._locked()
        for itemref in package.iterfind("{*}spine/{*}itemref"):
            item = items.get(itemref.get("idref"))
            if item is None:
                raise Reject("damaged", f"the book's spine names {itemref.get('idref')!r}, which its manifest has not")
            if item.get("media-type") in _PAGES:
                name = posixpath.normpath(posixpath.join(self._base, urllib.parse.unquote(item.get("href", ""))))
                if name in locked:
                    raise Reject("encrypted", f"{name} is encrypted")
                yield name

    def _locked(self) -> set[str]:
        if "META-INF/encryption.xml" not in self._zip.namelist():
            return set()
        listed = ElementTree.fromstring(self.content("META-INF/encryption.xml")).iterfind(".//{*}CipherReference")
        return {urllib.parse.unquote(each.get("URI", "")) for each in listed}


def _about(package: ElementTree.Element) -> dict[str, str]:
    """What the package file says of the book; of several authors all, of anything else the first."""
    found: dict[str, str] = {}
    for each in package.iterfind("{*}metadata//{http://purl.org/dc/elements/1.1/}*"):
        key, value = _KEYS.get(each.tag.rpartition("}")[2]), " ".join("".join(each.itertext()).split())
        if key and value:
            found[key] = f"{found[key]}, {value}" if key == "author" and key in found else found.get(key, value)
    return found
