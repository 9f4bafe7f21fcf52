"""A paper's text out of its LaTeX: without preamble and bibliography, sections as headings, all else and all maths as written."""

from __future__ import annotations

import re
from collections.abc import Mapping

from megatron_ext.corpus.latex.files import joined, main_file, own_packages
from megatron_ext.corpus.latex.macros import Macros, group

_LEVELS = ("part", "chapter", "section", "subsection", "subsubsection", "paragraph", "subparagraph")
_HEADING = re.compile(rf"\\({'|'.join(_LEVELS)})\*?\s*(?=[\[{{])")
_BEGIN, _END = re.compile(r"\\begin\s*\{document\}"), re.compile(r"\\end\s*\{document\}")
_BIBLIOGRAPHY = re.compile(r"\\begin\s*\{thebibliography\}.*?(?:\\end\s*\{thebibliography\}|\Z)", re.S)
_DROPPED = re.compile(
    r"\\(?:bibliography|bibliographystyle|nobibliography|addbibresource)\s*\{[^{}]*\}|\\printbibliography(?:\[[^\]]*\])?"
)
_FRONT = re.compile(r"\\(?:title|author|date|thanks|affil|address|email|maketitle|tableofcontents)\b\*?\s*")
_TITLE = re.compile(r"\\title\s*(?=[\[{])")
_FALSE = re.compile(r"\\iffalse\b(?:(?!\\if|\\fi\b).)*?\\fi\b", re.S)
_ENCODING = re.compile(rb"\\usepackage\s*\[([a-z0-9-]+)\]\s*\{inputenc\}")
_ENCODINGS = {
    "latin1": "latin-1",
    "ansinew": "cp1252",
    "latin9": "iso-8859-15",
    "applemac": "mac-roman",
    "utf8x": "utf-8",
    "utf8": "utf-8",
}
_VERBATIM = re.compile(r"\\begin\{(verbatim\*?|Verbatim\*?|BVerbatim|lstlisting|minted|alltt)\}.*?\\end\{\1\}", re.S)


class NoPaper(ValueError):
    """The files are no paper that can be read. Attributes: reason: of `documents.REASONS`."""

    def __init__(self, reason: str, detail: str):
        super().__init__(detail)
        self.reason = reason


def paper(files: Mapping[str, bytes], most: int) -> tuple[str, str | None]:
    """`(text, title)` of a paper's files by name; NoPaper where there is none, or more than `most` bytes of it."""
    name = main_file(files)
    if name is None:
        raise NoPaper("no_main_file", r"no file has both \documentclass and \begin{document}")
    whole = joined(files, name, most)
    if whole is None:
        raise NoPaper("too_long", "the paper is longer than a record may be, with all that it takes in")
    packages = [_decoded(each, files[name]) for each in own_packages(files, whole)]
    preamble, _, body = _split(_decoded(whole, files[name]), _BEGIN)
    body = _split(body, _END)[0]
    body, kept = _set_aside(_FALSE.sub("", body))
    macros = Macros(*packages, preamble, body)
    preamble, body = macros.texts[-2], macros.texts[-1]
    title = _title(macros, preamble) or _title(macros, body)
    body = macros.written_out(body)
    body = _headings(_without_front(_DROPPED.sub("", _BIBLIOGRAPHY.sub("", body))))
    body = re.sub(r"[ \t]+\n", "\n", body)
    body = re.sub(r"\n{3,}", "\n\n", body).strip()
    body = re.sub(r"\x00(\d+)\x00", lambda found: kept[int(found[1])], body)
    return (f"# {title}\n\n{body}" if title and body else body), title


def _decoded(content: bytes, main: bytes) -> str:
    """UTF-8, or what the main file tells inputenc. Without NULs, which mean nothing to TeX."""
    content = content.replace(b"\0", b"")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        said = _ENCODING.search(main)
        name = _ENCODINGS.get(said[1].decode(), said[1].decode()) if said else "utf-8"
        try:
            return content.decode(name)
        except (UnicodeDecodeError, LookupError):
            raise NoPaper("not_utf8", f"byte 0x{content[error.start]:02x} is not UTF-8, and inputenc does not help") from None


def _split(text: str, mark: re.Pattern) -> tuple[str, str, str]:
    match = mark.search(text)
    return (text[: match.start()], match[0], text[match.end() :]) if match else (text, "", "")


def _set_aside(body: str) -> tuple[str, list[str]]:
    """The body with numbers in the place of verbatim surroundings, and these."""
    kept: list[str] = []

    def keep(found: re.Match) -> str:
        kept.append(found[0])
        return f"\x00{len(kept) - 1}\x00"

    return _VERBATIM.sub(keep, body), kept


def _argument(text: str, at: int) -> tuple[str, int] | None:
    """`(argument, offset behind it)` of a command whose name ends at `at`, its optional one passed over."""
    end = group(text, at, "[]")
    if end is not None:
        at = re.compile(r"\s*").match(text, end).end()
    end = group(text, at)
    return None if end is None else (text[at + 1 : end - 1], end)


def _title(macros: Macros, text: str) -> str | None:
    match = _TITLE.search(text)
    found = _argument(text, match.end()) if match else None
    if found is None:
        return None
    title = _FRONT.sub(r"\\thanks", macros.written_out(found[0]))
    title = _without_front(title)
    return " ".join(re.sub(r"\\\\(?:\[[^\]]*\])?|~|\\(?:bf|Large|LARGE|huge|Huge|large)\b", " ", title).split()) or None


def _without_front(text: str) -> str:
    """Without title, authors and what makes pages of them."""
    parts, at = [], 0
    while match := _FRONT.search(text, at):
        found = _argument(text, match.end())
        parts.append(text[at : match.start()])
        at = found[1] if found else match.end()
    return "".join(parts) + text[at:]


def _headings(text: str) -> str:
    parts, at = [], 0
    while match := _HEADING.search(text, at):
        found = _argument(text, match.end())
        parts.append(text[at : match.start()])
        if found is None:
            parts.append(match[0])
            at = match.end()
            continue
        title, at = found
        depth = max(_LEVELS.index(match[1]), 1) + (match[1] == "part")
        parts.append(f"\n\n{'#' * min(depth, 6)} {' '.join(title.split())}\n\n")
        at = re.compile(r"\s*").match(text, at).end()
    return "".join(parts) + text[at:]
