"""What tools/preprocess_data.py wrote beside a pair: PREFIX_summary.json, which says whose tokens they are."""

from __future__ import annotations

import json
import pathlib

from megatron_ext.arguments.problems import UserError
from megatron_ext.data.index import Index

_END = "_document"


def refuse_another_tokenizer(index: Index, tokenizer) -> None:
    """UserError where the pair's summary names another tokenizer. No summary, or one of another pair, says nothing."""
    found = _summary_of(index)
    if found is None or "tokenizer" not in found[1]:
        return
    path, summary = found
    if summary["tokenizer"] != tokenizer.fingerprint():
        raise UserError(
            f"{index.where}: was made with another tokenizer ({summary.get('vocab_size')} entries, by {path}) than this run has "
            f"({tokenizer.vocab_size} entries); give that one with --tokenizer-model, or run tools/preprocess_data.py with this"
        )


def _summary_of(index: Index) -> tuple[pathlib.Path, dict] | None:
    """The summary that belongs to a pair PREFIX_KEY_document; both PREFIX and KEY may hold underscores."""
    prefix = pathlib.Path(index.prefix)
    if not prefix.name.endswith(_END):
        return None
    words = prefix.name.removesuffix(_END).split("_")
    for cut in range(1, len(words)):
        path = prefix.with_name("_".join(words[:cut]) + "_summary.json")
        try:
            summary = json.loads(path.read_text(encoding="utf-8"))
            tokens = summary["tokens"]["_".join(words[cut:])]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if (summary.get("documents"), tokens) == (index.documents, index.tokens):
            return path, summary
    return None
