"""Whose tokens a pair holds: the file `.json` beside `.bin` and `.idx`, written with them.

    {"documents": 341, "tokens": 1927364, "dtype": "uint16", "checksum": …, "append_eod": true,
     "tokenizer": {"fingerprint": …, "vocab_size": 32000, "eod": 0, "flags": {"tokenizer_type": "huggingface", …}}}

`flags` are those that named the tokenizer, for people and for tools/inspect_dataset.py; what counts is its fingerprint. In data
that was merged from pairs some of which have no sidecar, `tokenizer` is null; `append_eod` is null where they differ.

Pairs without one, such as Megatron-LM's, are taken as they are. One whose counts are not the pair's is an error: either file may
be the wrong one, and to pass it over would be to pass over the check of the tokenizer.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

from megatron_ext.arguments.problems import UserError
from megatron_ext.data.index import Index


@dataclasses.dataclass(frozen=True)
class Sidecar:
    """What the file says. tokenizer: fingerprint, vocab_size, eod and flags, or None where it is not known."""

    path: str
    documents: int
    tokens: int
    dtype: str
    checksum: str
    append_eod: bool | None = None
    tokenizer: dict | None = None

    @property
    def source(self) -> dict:
        return {"append_eod": self.append_eod, "tokenizer": self.tokenizer}


def source(tokenizer: Any, flags: Any, append_eod: bool) -> dict:
    """What a sidecar says of how its tokens were made, by a tokenizer and the flags (`TokenizerFlags`) that named it."""
    named = {name: value for name, value in dataclasses.asdict(flags).items() if value is not None}
    made = {"fingerprint": tokenizer.fingerprint(), "vocab_size": tokenizer.vocab_size, "eod": tokenizer.eod, "flags": named}
    return {"append_eod": append_eod, "tokenizer": made}


def read(index: Index) -> Sidecar | None:
    """The pair's sidecar; None where it has none. UserError: it cannot be read, or is of other files."""
    path = index.prefix + ".json"
    try:
        content = json.loads(pathlib.Path(path).read_bytes())
        found = Sidecar(path, **content)
        if found.tokenizer is not None:
            found.tokenizer["fingerprint"], int(found.tokenizer["vocab_size"]), int(found.tokenizer["eod"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it does not say whose tokens they are"
        raise UserError(f"{index.where}: {path} cannot be read ({reason}); remove it if it is of something else") from None
    for what, said, is_ in (
        ("documents", found.documents, index.documents),
        ("tokens", found.tokens, index.tokens),
        ("token type", found.dtype, index.dtype.name),
    ):
        if said != is_:
            raise UserError(
                f"{index.where}: {path} is of other files (its {what}: {said}, here: {is_}); put the files together that were "
                "written together, or remove it to go on without knowing the tokenizer"
            )
    return found


def refuse_another_tokenizer(index: Index, tokenizer: Any) -> None:
    """UserError where the pair's sidecar names another tokenizer. None, or one that names no tokenizer, says nothing."""
    found = read(index)
    if found is None or found.tokenizer is None or found.tokenizer["fingerprint"] == tokenizer.fingerprint():
        return
    raise UserError(
        f"{index.where}: was made with another tokenizer ({told(found.tokenizer)}, by {found.path}) than this run has "
        f"({tokenizer.vocab_size} entries); give that one with --tokenizer-model, or run tools/preprocess_data.py with this"
    )


def refuse_without_ends(index: Index) -> None:
    """UserError where the pair's sidecar says that no token ends a document: then all of them read as one."""
    found = read(index)
    if found is not None and found.append_eod is False:
        raise UserError(
            f"{index.where}: was made without --append-eod (by {found.path}), so nothing shows where a document ends, and "
            "this run keeps documents apart; make it anew with --append-eod"
        )


def told(tokenizer: dict) -> str:
    """A sidecar's tokenizer for people: `tok/tokenizer.json, huggingface, 32000 entries`."""
    flags = tokenizer.get("flags") or {}
    named = [flags.get("tokenizer_model") or flags.get("vocab_file"), flags.get("tokenizer_type")]
    return ", ".join([*(word for word in named if word), f"{tokenizer['vocab_size']} entries"])
