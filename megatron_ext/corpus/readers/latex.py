"""`--input-format latex`: a paper's LaTeX, a .tex file or the .tar.gz of one paper as arXiv has it; each is a document.

Comments go, \\input and \\include are followed, the paper's own macros written out, preamble and bibliography dropped, sections
made headings (`## …`); maths and all else stays as it is written (`corpus/latex`). Of an archive only files of text are taken,
so figures cost nothing; it may also be one .tex file, as arXiv has papers of one file. Keys: text, title, source (`arxiv` or
`latex`), and of a file named by its arXiv number (2301.00001v2.tar.gz) id (`arXiv:2301.00001v2`) and url.
"""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from typing import Any

from megatron_ext.corpus import urls
from megatron_ext.corpus.documents import Reject
from megatron_ext.corpus.latex.paper import NoPaper, paper
from megatron_ext.corpus.sources import LONGEST_RECORD, Source

SUFFIXES = (".tex", ".tar", ".tgz")
UNIT = "paper"
TEXT = "text"

_FILES = re.compile(r"(\.(tex|ltx|latex|sty|txt)|/[^./]+|^[^./]+)$", re.I)
_NUMBER = re.compile(r"^(\d{4}\.\d{4,5}(?:v\d+)?|[a-z-]+(?:\.[A-Z]{2})?[_/]?\d{7}(?:v\d+)?)$")
_ENDINGS = re.compile(r"(\.(tex|tar|tgz|gz|zst))+$", re.I)
_TAR = slice(257, 262)


def is_one_document(flags: Any) -> bool:
    return True


def read(source: Source, keys: Sequence[str] | None, flags: Any) -> Iterator[tuple[int, dict[str, Any] | None, None]]:
    """The payload is the paper's files by name, a slash put before it, and what the archive is called."""
    name = _ENDINGS.sub("", os.path.basename(urls.name_of(source.path)))
    if source.peek(512)[_TAR] == b"ustar" or re.search(r"\.(tar|tgz)(\.|$)", urls.name_of(source.path), re.I):
        payload = _unpacked(source)
    else:
        whole = source.read(LONGEST_RECORD + 1)
        payload = {"/main.tex": whole} if len(whole) <= LONGEST_RECORD else None
    yield 1, payload and {**payload, "name": name}, None


def _unpacked(source: Source) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    left = LONGEST_RECORD
    stream = _Watched(source)
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                if member.isfile() and _FILES.search(member.name):
                    left -= member.size
                    if left < 0:
                        return None
                    found["/" + os.path.normpath(member.name)] = archive.extractfile(member).read()
    except (tarfile.TarError, EOFError) as error:
        return {"damaged": f"the archive cannot be read ({error})"}
    while stream.read(2**20):  # to the end, where a compressed file says whether it is whole
        pass
    if stream.tail.strip(b"\0"):
        return {"damaged": "the archive is cut off: it does not end with the block of zeros that ends one"}
    return found


class _Watched:
    """What tarfile reads from, with its last bytes: an archive that ends too early is none of tarfile's errors."""

    def __init__(self, source: Source):
        self._source, self.tail = source, b""

    def read(self, count: int) -> bytes:
        found = self._source.read_bytes(count)
        self.tail = (self.tail + found)[-tarfile.BLOCKSIZE :]
        return found


def fields(payload: dict[str, Any], keys: Sequence[str] | None) -> dict[str, Any]:
    if "damaged" in payload:
        raise Reject("damaged", payload["damaged"])
    try:
        text, title = paper({name[1:]: content for name, content in payload.items() if name != "name"}, LONGEST_RECORD)
    except NoPaper as error:
        raise Reject(error.reason, str(error)) from None
    number = _NUMBER.match(payload["name"])
    found = {"text": text, "source": "arxiv" if number else "latex", "title": title}
    if number:
        identifier = re.sub(r"^([a-z-]+(?:\.[A-Z]{2})?)[_/]?(\d{7})", r"\1/\2", number[1])
        found |= {"id": f"arXiv:{identifier}", "url": f"https://arxiv.org/abs/{identifier}"}
    return {key: value for key, value in found.items() if value is not None}
