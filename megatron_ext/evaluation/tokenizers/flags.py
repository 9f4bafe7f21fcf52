"""Flags of tools/compare_tokenizers.py: which tokenizers, on which texts, and what is written."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from types import SimpleNamespace

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem
from megatron_ext.corpus.flags import InputFlags
from megatron_ext.evaluation.tokenizers.names import named, named_tokenizers, twice
from megatron_ext.tokenizers.files import find
from megatron_ext.tokenizers.flags import TokenizerFlags


@flag_group("input", "What is read")
class SourceFlags(InputFlags):
    input: tuple[str, ...] = flag(
        (),
        "texts, as SOURCE=PATTERN (english=a.jsonl 'code=c/*.py'); without a name a document's source is its own `source`, or "
        "what its format tells; .gz and .zst are read too",
        front=True,
    )
    json_key: str = flag("text", "where the text lies in a record", front=True)
    max_documents: int | None = flag(None, "documents of each source at most, in the order of files [all]", least=1, front=True)

    @staticmethod
    def check(c):
        patterns = tuple(pattern for _, pattern in map(named, c.input))
        yield from InputFlags.check(SimpleNamespace(**{**vars(c), "input": patterns}))


@flag_group("comparison", "What is compared, and what is written")
class ComparisonFlags:
    tokenizers: tuple[str, ...] = flag(
        (), "files or folders of tokenizers of every kind, as NAME=PATH, or PATH, whose own name it then has", front=True
    )
    json: str | None = flag(None, "a file for all figures", front=True)
    markdown: str | None = flag(None, "a file for the tables in Markdown", front=True)
    picture: str | None = flag(None, "a file for the figures as bars: .svg", front=True)
    hidden_size: int | None = flag(
        None, "a model's hidden size: then parameters of its embedding are shown", positive=True, front=True
    )
    model_scores: tuple[str, ...] = flag(
        (),
        "what tools/evaluate.py --json wrote of models trained with these tokenizers, as NAME=FILE: their bits per byte are "
        "shown beside; several of a name (seeds) as mean ± half of their span",
        front=True,
    )
    renyi_alpha: float = flag(2.5, "order of the Rényi entropy; 1 is Shannon's", positive=True)
    eod_token: str | None = flag(None, "name of the control token that ends a document, where a tokenizer's is not known")
    tiktoken_pattern: str | None = flag(None, "how tiktoken files split text, where the file's name does not tell it")

    @staticmethod
    def check(c):
        if not c.tokenizers:
            yield Problem("--tokenizers", None, "is missing", "give files or folders of tokenizers, as NAME=PATH")
        names = named_tokenizers(c.tokenizers)
        for name in twice([name for name, _ in names]):
            yield Problem("--tokenizers", name, "names two of them", "give each a name of its own: NAME=PATH")
        for name, path in names:
            for problem in TokenizerFlags.check(tokenizer_draft(path, c.tiktoken_pattern)):
                where = "--tiktoken-pattern" if problem.flag == "--tiktoken-pattern" else f"--tokenizers {name}={path}"
                yield Problem(where, None, problem.reason, problem.way_out)
        yield from _wrong_outputs(c)
        yield from _wrong_scores(c.model_scores, [name for name, _ in names])


def _wrong_outputs(c) -> Iterator[Problem]:
    outputs = {option: getattr(c, option) for option in ("json", "markdown", "picture") if getattr(c, option) is not None}
    for option, path in outputs.items():
        if os.path.isdir(path):
            yield Problem(f"--{option}", path, "is a folder", "name a file")
        elif os.path.abspath(path) in [os.path.abspath(other) for name, other in outputs.items() if name < option]:
            yield Problem(f"--{option}", path, "is a file that another flag names, too", "name another one")
    if c.picture is not None and not c.picture.lower().endswith(".svg"):
        yield Problem("--picture", c.picture, "does not end with .svg", "the picture is SVG, as browsers and GitHub show it")


def _wrong_scores(scores: Sequence[str], tokenizers: Sequence[str]) -> Iterator[Problem]:
    for each in scores:
        name, path = named(each)
        if name is None:
            yield Problem(
                "--model-scores", each, "has no name", f"give it as NAME=FILE, NAME being one of {', '.join(tokenizers)}"
            )
        elif name not in tokenizers:
            yield Problem("--model-scores", each, f"names no tokenizer {name!r}", f"give one of {', '.join(tokenizers)}")
        elif not os.path.isfile(path):
            yield Problem("--model-scores", path, "is not there", "give a file that tools/evaluate.py --json wrote")


def tokenizer_draft(path: str, tiktoken_pattern: str | None, eod_token: str | None = None) -> SimpleNamespace:
    """The flags of one tokenizer, resolved and not checked. A folder of GPT-2's two files is one, too."""
    draft = SimpleNamespace(**{field.name: field.default for field in dataclasses.fields(TokenizerFlags)})
    pair = [os.path.join(path, name) for name in ("vocab.json", "merges.txt")]
    if all(map(os.path.isfile, pair)) and find(path) is None:
        draft.vocab_file, draft.merge_file = pair
    else:
        draft.tokenizer_model = path
    draft.eod_token = eod_token
    TokenizerFlags.resolve(draft)
    if draft.tokenizer_type == "tiktoken" and draft.tiktoken_pattern is None:
        draft.tiktoken_pattern = tiktoken_pattern
    return draft
