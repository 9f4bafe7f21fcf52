"""Reads the texts once, in batches as preprocessing has them, and gives each batch to each tokenizer."""

from __future__ import annotations

import collections
import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.documents import Reject, document
from megatron_ext.corpus.flags import READERS
from megatron_ext.corpus.inputs import expand, size_on_disk
from megatron_ext.corpus.progress import Meter
from megatron_ext.data.preprocess.batching import read_batches
from megatron_ext.evaluation.tokenizers.flags import ComparisonFlags, SourceFlags, tokenizer_draft
from megatron_ext.evaluation.tokenizers.measures import Measurer, Measures, Text, text_with_words
from megatron_ext.evaluation.tokenizers.names import named, named_tokenizers
from megatron_ext.tokenizers.build import build
from megatron_ext.tokenizers.contract import Tokenizer
from megatron_ext.tokenizers.flags import TokenizerFlags

ALL = "all"
"""The name of all texts together."""


@dataclasses.dataclass
class Compared:
    """One tokenizer's figures. Attributes: model_scores: bits per byte by source, a list for each (a number a model)."""

    name: str
    path: str
    kind: str
    tokenizer: Tokenizer
    by_source: dict[str, Measures]
    model_scores: dict[str, list[float]]

    @property
    def whole(self) -> Measures:
        """Of all texts together."""
        return sum(self.by_source.values(), start=Measures(np.zeros(self.tokenizer.vocab_size, np.int64)))


@dataclasses.dataclass
class Comparison:
    """Attributes: texts: by source, as they came, how many `documents`, `bytes`, `characters`, `words`; rejected: records without
    a text."""

    tokenizers: list[Compared]
    texts: dict[str, collections.Counter]
    rejected: int

    @property
    def sources(self) -> list[str]:
        return list(self.texts)

    def texts_of(self, source: str) -> collections.Counter:
        return sum(self.texts.values(), start=collections.Counter()) if source == ALL else self.texts[source]


def compare(flags: SourceFlags, asked: ComparisonFlags) -> Comparison:
    """Measure. UserError: a tokenizer or a file is broken, or there is no text."""
    compared = [_opened(name, path, asked) for name, path in named_tokenizers(asked.tokenizers)]
    for name, path in map(named, asked.model_scores):
        _add_scores(next(each for each in compared if each.name == name).model_scores, path)
    measurers = [Measurer(each.tokenizer) for each in compared]
    rejected: collections.Counter = collections.Counter()
    seen: dict[str, collections.Counter] = {}
    inputs = [(source, expand(pattern)) for source, pattern in map(named, flags.input)]
    with Meter("comparing", sum(size_on_disk(files) for _, files in inputs), seconds=30) as meter:
        for source, texts, read in _by_source(inputs, flags, rejected):
            seen.setdefault(source, collections.Counter()).update(_totals(texts))
            for number, (each, measure) in enumerate(zip(compared, measurers), 1):
                meter.note(f"{source}, {each.name} ({number} of {len(compared)})")
                found = measure(texts)
                each.by_source[source] = each.by_source[source] + found if source in each.by_source else found
            meter.advance(read, sum(text.size for text in texts), len(texts))
    if not seen:
        raise UserError(f"no document could be used ({rejected.total()} rejected, by --json-key {flags.json_key})")
    if ALL in seen and len(seen) > 1:
        raise UserError(f"a source is called {ALL!r}, as all of them together are; name it otherwise: --input NAME=PATTERN")
    return Comparison(compared, seen, rejected.total())


def _totals(texts: Sequence[Text]) -> dict[str, int]:
    return {
        "documents": len(texts),
        "bytes": sum(each.size for each in texts),
        "characters": sum(len(each.text) for each in texts),
        "words": sum(len(each.words) for each in texts),
    }


def _opened(name: str, path: str, asked: ComparisonFlags) -> Compared:
    def load(eod_token: str | None) -> Compared:
        draft = tokenizer_draft(path, asked.tiktoken_pattern, eod_token)
        return Compared(name, path, draft.tokenizer_type, build(TokenizerFlags(**vars(draft))), {}, {})

    try:
        return load(None)
    except UserError:  # it may only lack a known name for what ends a document
        if asked.eod_token is None:
            raise
        return load(asked.eod_token)


def _by_source(
    inputs: Sequence[tuple[str | None, Sequence[str]]], flags: SourceFlags, rejected: collections.Counter
) -> Iterator[tuple[str, list[Text], int]]:
    """`(source, texts of a batch, bytes of files read)`; of a batch with several sources each in turn."""
    taken: collections.Counter = collections.Counter()
    for source, files in inputs:
        for batch in read_batches(files, [flags.json_key], flags, whole=True):
            texts: dict[str, list[Text]] = {}
            reader = READERS.load(batch.format)
            for record in batch.records:
                try:
                    found = document(record, reader, flags.json_key, source)
                except Reject as reject:
                    rejected[reject.reason] += 1
                    continue
                if flags.max_documents is None or taken[found.source] < flags.max_documents:
                    taken[found.source] += 1
                    texts.setdefault(found.source, []).append(
                        text_with_words(f"{record.file}, {reader.UNIT} {record.number}", found.text)
                    )
            read = batch.read_bytes
            for name, its in texts.items():
                yield name, its, read
                read = 0
            if source is not None and taken[source] == flags.max_documents:
                break


def _add_scores(scores: dict[str, list[float]], path: str) -> None:
    """What tools/evaluate.py --json wrote of one model, added to that of others."""
    try:
        with open(path, encoding="utf-8") as file:
            found: dict[str, Any] = json.load(file)["sources"]
        bits = {source: figures["bits_per_byte"] * figures["bytes"] for source, figures in found.items()}
        for source, figures in found.items():
            scores.setdefault(source, []).append(float(figures["bits_per_byte"]))
        if ALL not in found:
            scores.setdefault(ALL, []).append(sum(bits.values()) / sum(figures["bytes"] for figures in found.values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise UserError(f"--model-scores {path}: is not what tools/evaluate.py --json writes ({error!r})") from None
