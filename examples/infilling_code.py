"""Pieces of Python's library, to learn filling in the middle from, and brackets in pieces held out to be filled in.

    python examples/infilling_code.py --output FOLDER

writes FOLDER/train.jsonl (`text`), statements that follow one another, 60 to 300 characters a line; and FOLDER/heldout.jsonl,
pieces of other modules in parts: `prefix`, `middle`, `suffix`. A prefix ends behind a bracket that opens, a middle is what stands
in it, and in every second one (`closes`) the closing bracket, too: whether that is still to be written only the suffix tells.
"""

import argparse
import ast
import io
import json
import pathlib
import sysconfig
import textwrap
import tokenize
import zlib

from quickstart_corpus import library

SHORTEST, LONGEST = 60, 300  # characters of a piece
HELD_OUT = 8  # of so many modules one
INSIDE = (2, 40)  # characters inside a bracket
PAIRS = {"(": ")", "[": "]", "{": "}"}


def pieces(text):
    """Statements of a module that follow one another, as many as make up LONGEST, without what they are indented by."""
    try:
        module = ast.parse(text)
    except SyntaxError:
        return
    lines = text.splitlines(keepends=True)
    for first, last in _stretches(module.body, lines):
        piece = textwrap.dedent("".join(lines[first - 1 : last]))
        if len(piece) >= SHORTEST and balanced(piece):
            yield piece


def _stretches(statements, lines):
    """`(first line, last line)`; of a statement that is longer, what is in it."""
    first = last = None
    for statement in statements:
        if _is_text(statement):
            continue
        begin, end = statement.lineno, statement.end_lineno
        if first is not None and _size(lines, first, end) > LONGEST:
            yield first, last
            first = None
        if _size(lines, begin, end) > LONGEST:
            for inside in ("body", "handlers", "orelse", "finalbody"):
                yield from _stretches(getattr(statement, inside, ()), lines)
            first = None
        else:
            first, last = first or begin, end
    if first is not None:
        yield first, last


def _is_text(statement):
    """Whether it says something to people, as a docstring does."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _size(lines, first, last):
    return sum(map(len, lines[first - 1 : last]))


def balanced(text):
    """Whether Python's own tokenizer reads a text to its end, with each bracket closed by its like."""
    opened = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.ERRORTOKEN and not token.string.isspace():
                return False
            if token.type == tokenize.OP and token.string in PAIRS:
                opened.append(PAIRS[token.string])
            elif token.type == tokenize.OP and token.string in PAIRS.values() and (not opened or opened.pop() != token.string):
                return False
    except (tokenize.TokenError, SyntaxError):
        return False
    return not opened


def brackets(text):
    """`(begin, end)` of what stands inside the brackets of a text that begin and end on the same line."""
    opened, starts = [], [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.OP and token.string in PAIRS:
            opened.append((token.end[0], starts[token.end[0] - 1] + token.end[1]))
        elif token.type == tokenize.OP and token.string in PAIRS.values():
            line, begin = opened.pop()
            if line == token.start[0]:
                yield begin, starts[line - 1] + token.start[1]


def questions(text, number):
    """A bracket of a piece to be filled in: chosen by the text's hash, among those that hold a few characters."""
    found = [place for place in brackets(text) if INSIDE[0] <= place[1] - place[0] <= INSIDE[1]]
    if found:
        begin, end = found[zlib.crc32(text.encode()) % len(found)]
        closes = number % 2 == 1
        end += closes
        yield {"prefix": text[:begin], "middle": text[begin:end], "suffix": text[end:], "closes": closes}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=pathlib.Path, required=True, help="a folder")
    parser.add_argument("--library", type=pathlib.Path, default=sysconfig.get_path("stdlib"), help="a folder of modules")
    arguments = parser.parse_args()
    learned, asked = [], []
    for module in library(arguments.library):
        held_out = zlib.crc32(module.id.encode()) % HELD_OUT == 0
        for text in dict.fromkeys(pieces(module.text)):
            if held_out:
                asked += questions(text, len(asked))
            else:
                learned.append({"text": text})
    learned.sort(key=lambda record: zlib.crc32(record["text"].encode()))
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, records in (("train", learned), ("heldout", asked)):
        lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
        arguments.output.joinpath(f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    size = sum(len(record["text"]) for record in learned)
    print(f"{len(learned):,} pieces to learn from, {size / 1e6:.1f} MB; {len(asked):,} brackets to fill in")


if __name__ == "__main__":
    main()
