"""A SentencePiece model as a `tokenizer.json` with the same ids, for those who read nothing else.

SentencePiece cuts a whole normalised text at once, so there is no pre-tokenizer here: the normalizer puts the space before a
text, takes superfluous ones away where the model does, and writes U+2581 for spaces; where a U+2581 of the text is to stay one
(loaders/sentencepiece.py), spaces stay spaces, in the pieces too.

    BPE      joins neighbours whenever they are a piece, the highest score first: each way to make a piece of two is a merge
    Unigram  the same, with scores as they are. The names of control tokens and bytes (`<0x41>`) are no text there, and get a
             score so low that what a text holds of them is put together of other pieces. Where two ways to cut have the same
             sum (`***` as `* **` or `** *`), SentencePiece's rounding to fp32 decides, and another one may be found here

transformers' own conversion (5.x) gives other ids to texts that begin with a space, and to many where no space is put before a
text.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import tokenizers

from megatron_ext.tokenizers.byte_level import PROBE
from megatron_ext.tokenizers.loaders.sentencepiece import SPACE, SentencePieceTokenizer, model_proto

_UNIGRAM, _BPE = 1, 2
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = 1, 2, 3, 4, 5, 6
_LOW = 1000.0  # below the lowest score
_PROBES = (PROBE, "", " ", "a", " a", "  a  b   ", "\n", "a\n\n  b", "<0x41>", "\u2581a", PROBE[::-1], "aaaaaaaaaaa")


def tokenizer_json(tokenizer: SentencePieceTokenizer) -> dict[str, Any] | None:
    """The content of a `tokenizer.json`, or None where tokenizers has no model that gives the same ids."""
    proto = model_proto(tokenizer.content)
    kinds = {piece.type for piece in proto.pieces}
    plain = proto.normalizer_spec.escape_whitespaces and not proto.trainer_spec.treat_whitespace_as_suffix
    if not plain or kinds & {_USER_DEFINED, _UNUSED} or proto.trainer_spec.model_type not in (_UNIGRAM, _BPE):
        return None
    space = SPACE if tokenizer.ids_of_space is None else " "
    for piece in proto.pieces:
        piece.piece = piece.piece.replace(SPACE, space)
    special = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    control = [(number, each.piece) for number, each in enumerate(proto.pieces) if each.type in (_UNKNOWN, _CONTROL)]
    found = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [dict(id=number, content=name, **special) for number, name in control],
        "normalizer": _normalizer(proto.normalizer_spec, space),
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": _decoder(proto.normalizer_spec, space),
        "model": _unigram(proto.pieces) if proto.trainer_spec.model_type == _UNIGRAM else _bpe(proto.pieces),
    }
    return found if _same(found, tokenizer) else None


def _normalizer(spec, space: str) -> dict[str, Any] | None:
    replace = lambda pattern, content: dict(type="Replace", pattern=pattern, content=content)
    steps = []
    if spec.precompiled_charsmap:
        steps.append(dict(type="Precompiled", precompiled_charsmap=base64.b64encode(spec.precompiled_charsmap).decode()))
    if spec.remove_extra_whitespaces:
        steps += [replace({"Regex": " {2,}"}, " "), replace({"Regex": r"\A | \z"}, "")]
    if spec.add_dummy_prefix:
        steps.append(dict(type="Prepend", prepend=SPACE))
    if space == SPACE:
        steps.append(replace({"String": " "}, SPACE))
    return dict(type="Sequence", normalizers=steps) if steps else None


def _decoder(spec, space: str) -> dict[str, Any]:
    steps = [dict(type="ByteFallback"), dict(type="Fuse")]
    if space == SPACE:
        steps.insert(0, dict(type="Replace", pattern={"String": SPACE}, content=" "))
    if spec.add_dummy_prefix:
        steps.append(dict(type="Strip", content=" ", start=1, stop=0))
    return dict(type="Sequence", decoders=steps)


def _unigram(pieces) -> dict[str, Any]:
    scores = [piece.score for piece in pieces if piece.type == _NORMAL]
    low = min(scores) - _LOW
    return {
        "type": "Unigram",
        "unk_id": next(number for number, piece in enumerate(pieces) if piece.type == _UNKNOWN),
        "vocab": [[piece.piece, piece.score if piece.type == _NORMAL else low] for piece in pieces],
        "byte_fallback": any(piece.type == _BYTE for piece in pieces),
    }


def _bpe(pieces) -> dict[str, Any]:
    score = {piece.piece: piece.score for piece in pieces if piece.type == _NORMAL}
    merges = [
        (-score[piece], at, piece[:at], piece[at:])
        for piece in score
        for at in range(1, len(piece))
        if piece[:at] in score and piece[at:] in score
    ]
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": next(piece.piece for piece in pieces if piece.type == _UNKNOWN),
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": True,
        "byte_fallback": any(piece.type == _BYTE for piece in pieces),
        "ignore_merges": False,
        "vocab": {piece.piece: number for number, piece in enumerate(pieces)},
        "merges": [[left, right] for _, _, left, right in sorted(merges)],
    }


def _same(content: dict[str, Any], tokenizer: SentencePieceTokenizer) -> bool:
    """Whether hard texts get the same ids: two packages may normalise some characters otherwise."""
    theirs = tokenizers.Tokenizer.from_str(json.dumps(content))
    theirs.encode_special_tokens = True
    return all(theirs.encode(text, add_special_tokens=False).ids == tokenizer.encode(text) for text in _PROBES)
