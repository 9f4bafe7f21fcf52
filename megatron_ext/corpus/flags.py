"""Flags of what is read from: files, their format, and what a document is in plain text."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem, UserError
from megatron_ext.arguments.registry import Registry
from megatron_ext.corpus.html_text import EXTRACTORS
from megatron_ext.corpus.inputs import expand, format_of, takes_folders
from megatron_ext.corpus.urls import is_url

READERS = Registry("megatron_ext.corpus.readers")


@flag_group("input", "What is read")
class InputFlags:
    input: tuple[str, ...] = flag(
        (), "files, URLs, or patterns such as 'data/**/*.jsonl.gz'; .gz and .zst are read too", front=True
    )
    input_format: str | None = flag(None, "format of all files (default: by each one's ending)", choices=READERS)
    text_sample_by: str = flag(
        "document", "in plain text, what one document is (document: the file)", choices=("document", "paragraph", "line")
    )
    html_extractor: str = flag("resiliparse", "in web pages (HTML, WARC), what finds the main content", choices=EXTRACTORS)
    dialogue_paths: str = flag("best", "of a tree of messages: the best reply at each, or every path", choices=("best", "every"))
    dialogue_template: str = flag("{role}: {text}", r"how a message of a dialogue is written; \n begins a line")
    stackexchange_min_score: int | None = flag(None, "votes that an answer of StackExchange needs (default: any)")
    stackexchange_max_answers: int | None = flag(None, "answers to a question, best first (default: all)", least=0)

    @staticmethod
    def check(c):
        if not c.input:
            yield Problem("--input", None, "is missing", "give files, patterns or URLs")
        if "{text}" not in c.dialogue_template:
            yield Problem("--dialogue-template", repr(c.dialogue_template), "has no {text}", "put it where the message goes")
        yield from wrong_files("--input", c.input, c.input_format)


@flag_group("document", "What documents are called")
class DocumentFlags:
    source: str | None = flag(
        None, "the source of all documents (default: each one's own `source`, or what its format tells)", front=True
    )
    sources_below: str | None = flag(None, "a folder: a document's source is the folder in it where its file lies", front=True)

    @staticmethod
    def check(c):
        if c.sources_below is not None:
            if c.source is not None:
                yield Problem("--sources-below", c.sources_below, "and --source both say what sources are", "leave one out")
            for pattern in c.input:
                outside = is_url(pattern) or os.path.relpath(pattern, c.sources_below).partition(os.sep)[0] == os.pardir
                if outside:
                    yield Problem("--sources-below", c.sources_below, f"is no folder that {pattern} lies in")
                    break


def wrong_files(option: str, patterns: Sequence[str], named: str | None) -> Iterator[Problem]:
    """What is wrong with the files that a flag names, to be read as format `named` or by their endings."""
    seen: set[str] = set()
    for pattern in patterns:
        try:
            files = expand(pattern)
        except UserError as error:
            yield Problem(option, None, str(error))
            continue
        if not files:
            yield Problem(option, pattern, "matches no file")
        for file in files:
            wrong = ("gives " + file + " a second time", "name each file once") if file in seen else _wrong(file, named)
            if wrong:
                yield Problem(option, pattern if file in seen else file, *wrong)
                break
        seen.update(files)


def _wrong(file: str, named: str | None) -> tuple[str, str] | None:
    """Why a file or folder cannot be read, and the way out."""
    kind = named or format_of(file, READERS)
    if os.path.isdir(file) and (kind is None or not takes_folders(READERS.load(kind))):
        return "is a folder", f"give files, or a pattern such as '{file.rstrip('/')}/*.jsonl'"
    if not is_url(file) and not os.access(file, os.R_OK):
        return "cannot be read", "see to its permissions"
    if kind is None:
        return "has an ending of no known format", "name it with --input-format"
    if takes_folders(READERS.load(kind)) and not os.path.isdir(file):
        return f"is no folder, and {kind} reads folders", "name another --input-format"
    return None
