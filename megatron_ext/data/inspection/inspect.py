"""What tools/inspect_dataset.py finds out, as one dictionary, and how a person reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from megatron_ext.arguments.problems import UserError
from megatron_ext.data import sidecar as sidecars
from megatron_ext.data.index import Index
from megatron_ext.data.inspection.flags import InspectFlags
from megatron_ext.data.inspection.statistics import statistics
from megatron_ext.data.inspection.verify import checksum_of, first_damage
from megatron_ext.data.sidecar import Sidecar, told
from megatron_ext.tokenizers.build import build
from megatron_ext.tokenizers.contract import Tokenizer
from megatron_ext.tokenizers.files import find
from megatron_ext.tokenizers.flags import TokenizerFlags

_BAR = 40


def inspect(flags: InspectFlags, tokenizer_flags: TokenizerFlags) -> dict:
    """Everything that `flags` ask for, ready for JSON. `damage` is None where `--verify` found none."""
    index = Index(flags.data_path)
    sidecar = sidecars.read(index)
    tokenizer, note = _tokenizer(index, sidecar, tokenizer_flags)
    known = _known(sidecar, tokenizer)
    found: dict[str, Any] = {
        "prefix": index.prefix,
        "documents": _documents(index),
        "sequences": index.documents,
        "tokens": index.tokens,
        "dtype": index.dtype.name,
        "append_eod": None if sidecar is None else sidecar.append_eod,
        "tokenizer": None if sidecar is None else sidecar.tokenizer,
        "note": note,
    }
    if flags.document:
        found["texts"] = [_document(index, number, tokenizer) for number in flags.document]
    if flags.statistics:
        found["statistics"] = statistics(index, *known)
        for row in found["statistics"]["tokens"]["most_common"] if tokenizer is not None else ():
            row.append(tokenizer.decode([row[0]]))
    if flags.checksum:
        found["checksum"] = checksum_of(index)
    if flags.verify:
        found["damage"] = first_damage(index, known[0], sidecar)
    return found


def _documents(index: Index) -> int:
    """Of sequences, or of groups of them where it was written so (Megatron-LM's --split-sentences)."""
    return index.ends - 1


def _known(sidecar: Sidecar | None, tokenizer: Tokenizer | None) -> tuple[int | None, int | None]:
    """`(size of the vocabulary, id that ends a document)`."""
    if tokenizer is not None:
        return tokenizer.vocab_size, tokenizer.eod
    if sidecar is not None and sidecar.tokenizer is not None:
        return sidecar.tokenizer["vocab_size"], sidecar.tokenizer["eod"]
    return None, None


def _tokenizer(index: Index, sidecar: Sidecar | None, flags: TokenizerFlags) -> tuple[Tokenizer | None, str | None]:
    """The tokenizer that flags name, else the sidecar's where its file is still there and the same; or why there is none."""
    if flags.tokenizer_type is not None:
        tokenizer = build(flags)
        sidecars.refuse_another_tokenizer(index, tokenizer)
        return tokenizer, None
    made = sidecar.tokenizer if sidecar is not None else None
    if made is None:
        return None, "no tokenizer is known; name one with --tokenizer-model for text in place of ids"
    try:
        named = TokenizerFlags(**made["flags"])
        if named.tokenizer_model is not None and find(named.tokenizer_model, named.tokenizer_type) is None:
            return None, f"the tokenizer {told(made)} is not there; name it with --tokenizer-model for text in place of ids"
        tokenizer = build(named)
    except (UserError, TypeError, KeyError) as error:
        return None, f"the tokenizer {told(made)} cannot be loaded ({error}); name it with --tokenizer-model"
    if tokenizer.fingerprint() != made["fingerprint"]:
        return None, f"the tokenizer {told(made)} has changed since; name the one of then with --tokenizer-model"
    return tokenizer, None


def _document(index: Index, number: int, tokenizer: Tokenizer | None) -> dict:
    if number >= index.documents:
        raise UserError(f"--document {number}: there are {index.documents} documents, 0 to {index.documents - 1}")
    some = np.array([number])
    counts = index.lengths[some].astype(np.int64)
    ids = index.read(index.begins(some), counts, np.empty(int(counts.sum()), np.int64)).tolist()
    return {"document": number, "ids": ids, "text": None if tokenizer is None else tokenizer.decode(ids)}


def lines(found: dict) -> Iterator[tuple[str, str]]:
    """`(what, how much)`, line by line."""
    sentences = f" in {found['sequences']:,} sequences" if found["sequences"] != found["documents"] else ""
    yield "documents", f"{found['documents']:,}{sentences}, {found['tokens']:,} tokens as {found['dtype']}"
    made = found["tokenizer"]
    yield "tokenizer", f"{told(made)}, fingerprint {made['fingerprint']}" if made else "not known: no .json beside it names it"
    if found["append_eod"] is not None:
        yield "ends", "with the end-of-document token" if found["append_eod"] else "without an end-of-document token"
    if found["note"]:
        yield "note", found["note"]
    for each in found.get("texts", ()):
        yield f"document {each['document']}", f"{len(each['ids']):,} tokens"
        yield "", each["text"] if each["text"] is not None else " ".join(map(str, each["ids"]))
    if "statistics" in found:
        yield from _statistics_lines(found["statistics"])
    if "checksum" in found:
        yield "checksum", found["checksum"]
    if found.get("damage", "") is None:
        yield "verified", "whole"


def _statistics_lines(found: dict) -> Iterator[tuple[str, str]]:
    lengths, tokens = found["lengths"], found["tokens"]
    yield "length", f"{lengths['mean']:,.1f} tokens on average, {lengths['least']:,} to {lengths['most']:,}"
    yield "percentiles", ", ".join(f"{each} %: {length:,}" for each, length in lengths["percentiles"].items())
    most = max(many for *_, many in lengths["histogram"])
    for low, high, many in lengths["histogram"]:
        yield f"{low:,} to {high:,}", f"{many:>12,} {'█' * max(1, round(_BAR * many / most))}"
    unused = "" if tokens["unused_ids"] is None else f", {tokens['unused_ids']:,} nowhere"
    yield "ids", f"{tokens['used_ids']:,} occur{unused}"
    share = tokens["documents_that_end_with_eod"]
    if share is not None:
        yield "eod", f"{share:.2%} of the documents end with it"
    for token, count, *text in tokens["most_common"]:
        yield f"token {token}", f"{count:>12,}" + (f"  {text[0]!r}" if text else "")
