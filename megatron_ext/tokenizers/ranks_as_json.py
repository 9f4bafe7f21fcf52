"""tiktoken's ranks, or any byte-level BPE whose ids are its ranks, as a `tokenizer.json` with the same ids.

A file of ranks holds no merges: tiktoken joins neighbours whenever their bytes are a token, the lowest rank first. A token's own
merge is what lower ranks make of its bytes, if that is two tokens, and it is then its only one (byte_level.py says why). Tokens
that lower ranks do not lead to get every merge that joins two tokens to it, and are found where a whole piece of text is one
(`ignore_merges`), as tiktoken does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from megatron_ext.tokenizers.byte_alphabet import in_alphabet

_UNUSED = "<|unused_{}|>"


def tokenizer_json(texts: Mapping[int, bytes], control: Mapping[str, int], pattern: str) -> dict[str, Any]:
    """The content of a `tokenizer.json`.

    Args:
        texts: the bytes of each token that stands for text, by id: a lower id is a lower rank.
        control: ids of control tokens by name. Ids that nothing has become control tokens too.
        pattern: a regular expression for the pieces that text is split into first.
    """
    ranks = {text: number for number, text in sorted(texts.items())}
    used = set(texts) | set(control.values())
    control = {**control, **{_UNUSED.format(number): number for number in range(max(used)) if number not in used}}
    merges, direct = [], False
    for text, rank in ranks.items():
        if len(text) > 1:
            made = parts(ranks, text, rank)
            pairs = [made] if len(made) == 2 else _pairs(ranks, text)
            direct |= len(made) != 2
            merges += [[in_alphabet(left), in_alphabet(right)] for left, right in pairs]
    vocab = {in_alphabet(text): number for text, number in ranks.items()} | control
    in_order = lambda ids: sorted(ids.items(), key=lambda pair: pair[1])
    special = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    byte_level = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=False)
    split = dict(type="Split", pattern={"Regex": pattern}, behavior="Isolated", invert=False)
    model = dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None, end_of_word_suffix=None)
    model |= dict(fuse_unk=False, byte_fallback=False, ignore_merges=direct, vocab=dict(in_order(vocab)), merges=merges)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [dict(id=number, content=name, **special) for name, number in in_order(control)],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": None,
        "decoder": byte_level,
        "model": model,
    }


def parts(ranks: Mapping[bytes, int], text: bytes, below: float = math.inf) -> list[bytes]:
    """What merges of ranks below `below` make of `text`, as one piece."""
    found = [text[at : at + 1] for at in range(len(text))]
    while len(found) > 1:
        joined = [ranks.get(left + right, below) for left, right in zip(found, found[1:])]
        least = min(joined)
        if least >= below:
            break
        at = joined.index(least)
        found[at : at + 2] = [found[at] + found[at + 1]]
    return found


def _pairs(ranks: Mapping[bytes, int], text: bytes) -> list[tuple[bytes, bytes]]:
    pairs = ((text[:at], text[at:]) for at in range(1, len(text)))
    known = (pair for pair in pairs if all(part in ranks for part in pair))
    return sorted(known, key=lambda pair: [ranks[part] for part in pair])
