"""A paper's own macros written out: \\newcommand, \\providecommand, \\DeclareMathOperator, \\def with plain arguments.

With up to nine arguments and an optional first one. What \\renewcommand changes of LaTeX's own commands stays as it is written.
Bounded: a macro within a macro 20 deep, and no more text added than MOST characters; what is beyond stays as it is written.
"""

from __future__ import annotations

import re

MOST = 2**22
_DEEPEST = 20
_LONGEST_GROUP = 2**17
_MARK = re.compile(r"\\.|[{}\]]", re.S)
_DEFINES = re.compile(
    r"\\(?:(?P<new>newcommand|renewcommand|providecommand|DeclareRobustCommand)\*?\s*\{?\s*\\(?P<name>[A-Za-z@]+)\s*\}?\s*"
    r"(?:\[(?P<count>\d)\])?\s*(?P<optional>\[)?"
    r"|(?P<operator>DeclareMathOperator)\*?\s*\{?\s*\\(?P<opname>[A-Za-z@]+)\s*\}?\s*"
    r"|[egx]?def\s*\\(?P<defname>[A-Za-z@]+)\s*(?P<params>(?:#\d)*)\s*(?=\{))"
)


def group(text: str, at: int, marks: str = "{}") -> int | None:
    """Where the group that opens at `at` has ended (the offset behind its mark); None where it does not open, or not end soon."""
    if text[at : at + 1] != marks[0]:
        return None
    depth = 0
    for match in _MARK.finditer(text, at, at + _LONGEST_GROUP):
        mark = match[0]
        if mark == "{":
            depth += 1
        elif mark == "}":
            depth -= 1
        if mark == marks[1] and not depth:
            return match.end()
    return None


class Macros:
    """The macros that a text defines; `text` is what is left of it without their definitions."""

    def __init__(self, *texts: str):
        self._known: dict[str, tuple[int, str | None, str]] = {}
        self.texts = [self._collect(text) for text in texts]
        self._left = MOST
        names = "|".join(sorted(map(re.escape, self._known), key=len, reverse=True))
        self._used = re.compile(rf"\\({names})(?![A-Za-z@])") if names else None

    def _collect(self, text: str) -> str:
        parts, at = [], 0
        while match := _DEFINES.search(text, at):
            end = self._define(text, match)
            if end is None:
                parts.append(text[at : match.end()])
                at = match.end()
            else:
                parts.append(text[at : match.start()].rstrip(" \t"))
                at = end
        return "".join(parts) + text[at:]

    def _define(self, text: str, match: re.Match) -> int | None:
        """Note one; the offset behind its definition, or None where it is not one that is understood."""
        at, default = match.end(), None
        if match["optional"]:
            end = group(text, at - 1, "[]")
            if end is None:
                return None
            default = text[at : end - 1]
            at = re.compile(r"\s*").match(text, end).end()
        end = group(text, at)
        if end is None:
            return None
        name, body = match["name"] or match["opname"] or match["defname"], text[at + 1 : end - 1]
        if match["operator"]:
            body = rf"\operatorname{{{body}}}"
        count = int(match["count"] or 0) if match["name"] else len(match["params"] or "") // 2
        if match["new"] != "renewcommand" or name in self._known:
            self._known[name] = (count, default, body)
        return end

    def written_out(self, text: str, depth: int = 0) -> str:
        """The text with every macro in it replaced by what it stands for."""
        if self._used is None or depth > _DEEPEST:
            return text
        parts, at = [], 0
        while match := self._used.search(text, at):
            parts.append(text[at : match.start()])
            called = self._called(text, match.end(), *self._known[match[1]])
            if called is None or self._left <= 0:
                parts.append(match[0])
                at = match.end()
                continue
            body, at = called
            self._left -= len(body)
            parts.append(_spaced(self.written_out(body, depth + 1), text[at : at + 1]))
        return "".join(parts) + text[at:]

    def _called(self, text: str, at: int, count: int, default: str | None, body: str) -> tuple[str, int] | None:
        """`(what the call stands for, the offset behind it)`; None where arguments are missing."""
        if not count:
            return body, at + 2 if text.startswith("{}", at) else at
        arguments = []
        if default is not None:
            end = group(text, re.compile(r"\s*").match(text, at).end(), "[]")
            arguments.append(default if end is None else text[text.index("[", at) + 1 : end - 1])
            at = at if end is None else end
        while len(arguments) < count:
            at = re.compile(r"[ \t]*\n?[ \t]*").match(text, at).end()
            end = group(text, at)
            if end is None:
                token = re.compile(r"\\[A-Za-z@]+|\\.|[^\s{}]").match(text, at)
                if token is None:
                    return None
                end = token.end()
                arguments.append(token[0])
            else:
                arguments.append(text[at + 1 : end - 1])
            at = end
        return re.sub(r"#([1-9])", lambda found: _argument(arguments, found), body), at


def _argument(arguments: list[str], found: re.Match) -> str:
    number = int(found[1])
    return arguments[number - 1] if number <= len(arguments) else found[0]


def _spaced(body: str, after: str) -> str:
    """The body so that a command at its end does not run into the word behind it; \\xspace is that space."""
    if body.rstrip().endswith(r"\xspace"):
        body = body.rstrip().removesuffix(r"\xspace")
        return body + " " * (after.isalnum())
    return body + " " if after.isalpha() and re.search(r"\\[A-Za-z]+$", body) else body
