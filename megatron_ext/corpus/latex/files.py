"""The files of a paper as one: comments out, \\input and \\include followed, the main file found.

A comment begins at a % that no backslash stands before; it takes its line's end with it, as TeX has it. Nothing of that holds in
verbatim surroundings (verbatim, lstlisting, minted …), which stay as they are.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping

_COMMENT = re.compile(rb"(?<!\\)((?:\\\\)*)%.*", re.S)
_VERBATIM = re.compile(rb"\\begin\s*\{(verbatim\*?|Verbatim\*?|BVerbatim|lstlisting|minted|alltt|comment)\}")
_INPUT = re.compile(
    rb"\\(?:(input|include|subfile)\s*\{\s*([^{}\\#]+?)\s*\}|input\s+([^\s{}\\#]+)|(?:sub)?import\*?\s*\{([^{}]*)\}\s*\{([^{}]+)\})"
)
_PACKAGE = re.compile(rb"\\(?:usepackage|RequirePackage)\s*(?:\[[^\]]*\])?\s*\{([^{}]+)\}")
_DOCUMENT = re.compile(rb"\\begin\s*\{document\}")
_CLASS = re.compile(rb"\\document(?:class|style)\b")
_DEEPEST = 20
_USUAL = ("main", "ms", "paper", "article", "manuscript", "arxiv", "root")


def main_file(files: Mapping[str, bytes]) -> str | None:
    """The file that begins the document: one with a class and a body that no other takes in; of several the one with a usual
    name, else the longest.
    """
    bare = {name: b"".join(_without_comments(content)) for name, content in files.items()}
    taken_in = {found for name, content in bare.items() for found in _taken_in(content, name, files)}
    able = [name for name, content in bare.items() if _CLASS.search(content) and _DOCUMENT.search(content)]
    able = [name for name in able if name not in taken_in] or able
    return min(able, key=lambda name: (not _is_usual(name), -len(files[name]), name), default=None)


def _is_usual(name: str) -> bool:
    return posixpath.splitext(posixpath.basename(name))[0].lower() in _USUAL


def _taken_in(content: bytes, name: str, files: Mapping[str, bytes]) -> Iterator[str]:
    for match in _INPUT.finditer(content):
        found = _found(match, name, files)
        if found:
            yield found


def joined(files: Mapping[str, bytes], name: str, most: int) -> bytes | None:
    """The file with all that it takes in, without comments; None where that is more than `most` bytes.

    What is taken in but not there stays as the command that asks for it.
    """
    out = _Joined(files, most)
    out.add(name, ())
    return None if out.size > most else b"".join(out.parts)


class _Joined:
    def __init__(self, files: Mapping[str, bytes], most: int):
        self._files, self._most, self.parts, self.size = files, most, [], 0

    def add(self, name: str, within: tuple[str, ...]) -> None:
        for piece in _without_comments(self._files[name]):
            if _VERBATIM.match(piece):
                self._put(piece)
                continue
            at = 0
            for match in _INPUT.finditer(piece):
                found = _found(match, within[0] if within else name, self._files) or _found(match, name, self._files)
                if found and found not in (*within, name) and len(within) < _DEEPEST and self.size <= self._most:
                    self._put(piece[at : match.start()])
                    self.add(found, (*within, name))
                    at = match.end()
            self._put(piece[at:])

    def _put(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.size <= self._most:
            self.parts.append(piece)


def own_packages(files: Mapping[str, bytes], content: bytes) -> Iterator[bytes]:
    """The paper's own .sty files that it uses: their macros may be its macros."""
    for match in _PACKAGE.finditer(content):
        for name in match[1].decode("latin-1").split(","):
            found = next((path for path in files if path == name.strip() + ".sty" or path.endswith(f"/{name.strip()}.sty")), None)
            if found:
                yield b"".join(_without_comments(files[found]))


def _found(match: re.Match, name: str, files: Mapping[str, bytes]) -> str | None:
    """The file that a command names, as TeX looks for it: from the main file's folder, with and without .tex."""
    asked = (match[2] or match[3] or posixpath.join(match[4] or b"", match[5] or b"")).decode("utf-8", "replace").strip(' "')
    base = posixpath.normpath(posixpath.join(posixpath.dirname(name), asked))
    return next((path for path in (base + ".tex", base) if path in files), None)


def _without_comments(content: bytes) -> Iterator[bytes]:
    """Pieces of the content: verbatim surroundings each as one, whole; what is between them without comments."""
    held: list[bytes] = []
    until = b""
    for line in content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").splitlines(keepends=True):
        while line:
            if until:
                inside, end, line = line.partition(until)
                held.append(inside + end)
                if end:
                    if until != b"\\end{comment}":
                        yield b"".join(held)
                    held, until = [], b""
                continue
            code = _code(line)
            begin = _VERBATIM.search(code)
            if begin:
                yield b"".join([*held, code[: begin.start()]])
                held, until = [begin[0]], b"\\end{" + begin[1] + b"}"
                line = line[begin.end() :]
            else:
                held.append(code)
                line = b""
    if held:
        yield b"".join(held)


def _code(line: bytes) -> bytes:
    """A line without its comment. One of nothing else goes whole: an empty line would end a paragraph."""
    code = _COMMENT.sub(rb"\1", line)
    return code if code.strip() or not line.strip() else b""
