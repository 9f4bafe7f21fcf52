"""Joins pairs end to end, as megatron-core's `IndexedDatasetBuilder.add_index` does, byte for byte.

The builder keeps two Python lists with an entry a document, some 80 bytes each; here all is streamed, a few pieces at a time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence

import numpy as np

from megatron_ext.arguments.problems import UserError
from megatron_ext.data import sidecar, stream
from megatron_ext.data.index import AGAIN, Index
from megatron_ext.data.indexed_writer import WRITTEN, IndexedWriter
from megatron_ext.data.sidecar import Sidecar, told


@dataclasses.dataclass(frozen=True)
class Merged:
    """What came of it. warnings: what a person should know, in sentences."""

    prefixes: Sequence[str]
    documents: int
    tokens: int
    dtype: str
    warnings: Sequence[str]


def merge(inputs: Sequence[str], output: str) -> Merged:
    """Write the pairs that `inputs` name (a folder's by name, else in their order) as one. UserError: then nothing is written."""
    prefixes = _prefixes(inputs)
    _refuse_output_among_inputs(inputs, prefixes, output)
    indices = [Index(prefix, option="--input") for prefix in prefixes]
    sidecars = [sidecar.read(index) for index in indices]
    _refuse_other_tokenizers(indices, sidecars)
    dtype = _common_dtype(indices, sidecars)
    source, warnings = _source(indices, sidecars)
    writer = IndexedWriter(output, dtype)
    try:
        for index in indices:
            for piece in stream.tokens(index):
                writer.add_tokens(piece.astype(dtype, copy=False))
            for piece in _lengths(index):
                writer.add_lengths(piece)
        writer.seal(source, _ends(indices))
        writer.publish()
    finally:
        writer.discard()
    return Merged(prefixes, writer.documents, writer.tokens, dtype.name, warnings)


def _prefixes(inputs: Sequence[str]) -> list[str]:
    if len(inputs) > 1 or not os.path.isdir(inputs[0]):
        return [path.removesuffix(".idx").removesuffix(".bin") for path in inputs]
    try:
        there = os.listdir(inputs[0])
    except OSError as error:
        raise UserError(f"--input {inputs[0]}: cannot be read ({error.strerror})") from None
    halves = {name for name in there if name.endswith((".bin", ".idx"))}
    names = sorted({name[:-4] for name in halves})
    for name in names:
        for end in {".bin", ".idx"} - {half[-4:] for half in halves if half[:-4] == name}:
            raise UserError(f"--input {inputs[0]}: has a {name}{'.idx' if end == '.bin' else '.bin'} and no {name}{end}")
    if not names:
        raise UserError(f"--input {inputs[0]}: holds no .bin/.idx pairs; give the folder that does, or prefixes")
    return [os.path.join(inputs[0], name) for name in names]


def _refuse_output_among_inputs(inputs: Sequence[str], prefixes: Sequence[str], output: str) -> None:
    """A second run would read what the first one wrote, or one run what it writes."""
    folder = os.path.realpath(os.path.dirname(output) or ".")
    if os.path.isdir(inputs[0]) and folder == os.path.realpath(inputs[0]):
        raise UserError(f"--output-prefix {output}: lies in the folder --input {inputs[0]}; name one outside of it")
    written = {os.path.realpath(output + end) for end in WRITTEN}
    for prefix in prefixes:
        if written & {os.path.realpath(prefix + end) for end in WRITTEN}:
            raise UserError(f"--output-prefix {output}: is --input {prefix}, too; name another")


def _refuse_other_tokenizers(indices: Sequence[Index], sidecars: Sequence[Sidecar | None]) -> None:
    known = [(index, each.tokenizer) for index, each in zip(indices, sidecars) if each is not None and each.tokenizer is not None]
    for index, tokenizer in known[1:]:
        first, its = known[0]
        if tokenizer["fingerprint"] != its["fingerprint"]:
            raise UserError(
                f"{index.where}: was made with another tokenizer ({told(tokenizer)}) than {first.prefix} ({told(its)}); "
                "a data set holds the ids of one: merge those of each for itself, or run tools/preprocess_data.py again"
            )


def _common_dtype(indices: Sequence[Index], sidecars: Sequence[Sidecar | None]) -> np.dtype:
    """The type of all; int32 for uint16 and int32, where all are known to be of one tokenizer."""
    first = indices[0]
    others = [index for index in indices if index.dtype != first.dtype]
    for index in indices:
        if index.dtype.name not in ("uint16", "int32"):
            raise UserError(f"{index.where}: holds tokens as {index.dtype.name}, and data sets here hold uint16 or int32")
    if not others:
        return first.dtype
    if all(each is not None and each.tokenizer is not None for each in sidecars):
        return np.dtype(np.int32)
    raise UserError(
        f"{others[0].where}: holds tokens as {others[0].dtype.name}, and {first.prefix} as {first.dtype.name}; they are joined "
        "only where .json files beside them name the same tokenizer: run tools/preprocess_data.py again"
    )


def _source(indices: Sequence[Index], sidecars: Sequence[Sidecar | None]) -> tuple[dict, list[str]]:
    """What the new sidecar says, and warnings."""
    warnings = []
    unknown = [index.prefix for index, each in zip(indices, sidecars) if each is None or each.tokenizer is None]
    if unknown and len(unknown) < len(indices):
        warnings.append(f"{unknown[0]}: has no .json beside it that names its tokenizer, so nor has what was written")
    ended = {None if each is None else each.append_eod for each in sidecars}
    if {True, False} <= ended:
        warnings.append("some documents end with the end-of-document token and others do not (--append-eod)")
    tokenizer = None if unknown else sidecars[0].tokenizer
    return {"append_eod": ended.pop() if len(ended) == 1 else None, "tokenizer": tokenizer}, warnings


def _lengths(index: Index) -> Iterator[np.ndarray]:
    total = 0
    for piece in stream.lengths(index):
        total += int(piece.sum(dtype=np.int64))
        if piece.min() < 0:
            raise UserError(f"{index.where}: has a document of {piece.min()} tokens; the index is damaged: {AGAIN}")
        yield piece
    if total != index.tokens:
        raise UserError(
            f"{index.where}: the lengths in {index.prefix}.idx add up to {total} tokens, and .bin has {index.tokens}; "
            f"the index is damaged: {AGAIN}"
        )


def _ends(indices: Sequence[Index]) -> Iterator[np.ndarray]:
    """The list of documents of all pairs together."""
    before = 0
    yield np.zeros(1, np.int64)
    for index in indices:
        with contextlib.closing(stream.ends(index)) as pieces:
            for number, piece in enumerate(pieces):
                yield before + (piece if number else piece[1:])
        before += index.documents
