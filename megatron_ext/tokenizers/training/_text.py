"""What all algorithms do to text before they learn from it: no control token's name in it, no character that is too rare.

A name of a control token, or of a byte (`<0x41>`), must not be learned as a token of the text, or the text would give the control
token's id. So text is cut after the first character of each such name: tokens do not cross a cut, and without the whole name
there is nothing to learn it from.
"""

from __future__ import annotations

import collections
import re
import sys
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from megatron_ext.arguments.problems import UserError
from megatron_ext.tokenizers.flags import TrainTokenizerFlags, control_names
from megatron_ext.tokenizers.special_tokens import RESERVED_NAME

BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
"""The names of bytes in a vocabulary with byte fallback, as in SentencePiece's."""
_BATCH = 2**20


def names_in_text(flags: TrainTokenizerFlags) -> re.Pattern:
    """What `cut` looks for."""
    return re.compile("|".join([*map(re.escape, control_names(flags)), RESERVED_NAME.pattern]))


def cut(text: str, names: re.Pattern) -> list[str]:
    """The text in parts, none of which holds one of the names, and which are the text when joined."""
    found = names.search(text)
    if found is None:
        return [text]
    edges = [0]
    while found is not None:  # names may overlap: go on behind the first character, not behind the name
        edges.append(found.start() + 1)
        found = names.search(text, found.start() + 1)
    return [text[begin:end] for begin, end in zip(edges, [*edges[1:], len(text)])]


def count_characters(texts: Iterable[str]) -> collections.Counter[str]:
    """How often each character occurs."""
    counts = np.zeros(sys.maxunicode + 1, np.int64)
    held: list[str] = []
    size = 0
    for text in texts:
        held.append(text)
        size += len(text)
        if size >= _BATCH:
            counts += _count("".join(held))
            held, size = [], 0
    counts += _count("".join(held))
    return collections.Counter({chr(code): int(counts[code]) for code in np.flatnonzero(counts)})


def _count(text: str) -> np.ndarray:
    return np.bincount(np.frombuffer(text.encode("utf-32-le"), np.uint32), minlength=sys.maxunicode + 1)


def covering(counts: Mapping[str, int], share: float) -> set[str]:
    """The fewest characters that are at least `share` of all occurrences; of equally frequent ones the lower code points.

    As SentencePiece's `character_coverage`.
    """
    needed = share * sum(counts.values())
    kept: set[str] = set()
    seen = 0
    for character, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if seen >= needed:
            break
        kept.add(character)
        seen += count
    return kept


def others(alphabet: Iterable[str]) -> re.Pattern:
    """Runs of characters that are not in the alphabet."""
    return re.compile(f"[^{''.join(map(re.escape, sorted(alphabet)))}]+")


def need_room(entries: int, alphabet: int, flags: TrainTokenizerFlags) -> None:
    """UserError: control tokens, bytes and characters, so many `entries`, do not all fit into the vocabulary."""
    if entries > flags.vocab_size:
        raise UserError(
            f"--vocab-size {flags.vocab_size}: is too small for {alphabet} characters, control tokens and bytes, {entries} in "
            f"all; give more, or a --character-coverage below {flags.character_coverage}"
        )


def then_say(texts: Iterable[str], what: str) -> Iterator[str]:
    """The texts; and when they are at an end, on stderr what is being done with them, which may take long."""
    yield from texts
    print(what, file=sys.stderr, flush=True)
