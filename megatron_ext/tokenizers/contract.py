"""What every tokenizer here offers, and how it finds the token that ends a document.

Text is text: a special token's name inside a document ("<|endoftext|>", "</s>") becomes ordinary tokens, never the control
token. So a document cannot end itself, and what is counted as a document's bytes is what it holds.
"""

from __future__ import annotations

import abc
import functools
import hashlib
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from megatron_ext.arguments.problems import UserError

END_OF_DOCUMENT = (
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|endofdoc|>",
    "</s>",
    "<eos>",
    "<|eos|>",
    "[EOS]",
    "<\uff5cend\u2581of\u2581sentence\uff5c>",
)
"""Names under which published tokenizers keep the token that ends a document, the surest first."""


TEXT, CONTINUATION, BYTE, LITERAL, CONTROL, UNUSED = "text", "continuation", "byte", "literal", "control", "unused"


class Entry(NamedTuple):
    """What an id stands for.

    Attributes:
        kind: TEXT; CONTINUATION, text that goes on within a word (WordPiece's ##); BYTE, one byte of what has no token of its
            own; LITERAL, text that is looked for before all else; CONTROL, no text; UNUSED, an id that nothing has.
        text: the bytes of UTF-8 text, which may end within a character; a control token's name.
    """

    kind: str
    text: bytes


class Tokenizer(abc.ABC):
    """Attributes:
    vocab_size: ids run from 0 to vocab_size - 1.
    eod: the id of the token that ends a document.
    control_tokens: ids by name of the tokens that stand for no text and that no text gives; objectives find theirs here.
    model_entries: of the model: as many, or more with `--vocab-size`. Those beyond vocab_size have logits and no text.
    written_in: what tokens are made of: `bytes`; `characters`, a space among them; `parts of words`, without spaces; `numbers`.
    """

    vocab_size: int
    eod: int
    control_tokens: Mapping[str, int]
    model_entries: int
    written_in: str

    @abc.abstractmethod
    def encode(self, text: str) -> list[int]:
        """The ids of a text, without begin or end tokens. ValueError says why a text cannot be encoded."""

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of each text, in this thread alone: whoever wants more cores starts more processes."""
        return [self.encode(text) for text in texts]

    def encode_flat(self, texts: Sequence[str], end: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """`encode` of many texts: `(ids end to end, how many are of each)`, uint32, with the id `end` behind each if given."""
        after = [] if end is None else [end]
        parts = self.encode_batch(texts)
        lengths = np.fromiter((len(part) + len(after) for part in parts), np.uint32, len(parts))
        flat = itertools.chain.from_iterable(each for part in parts for each in (part, after))
        return np.fromiter(flat, np.uint32, int(lengths.sum(dtype=np.int64))), lengths

    def difference(self, texts: Sequence[str]) -> tuple[int, int] | None:
        """Where a tokenizer has a quick way and its library's own: the first of `texts` whose ids differ, and the byte in it."""
        return None

    def take_the_slow_way(self) -> None:
        """From now on encode as the library does."""
        return None

    @abc.abstractmethod
    def decode(self, ids: Iterable[int]) -> str:
        """The text that ids stand for. Control tokens stand for none; bytes that are not UTF-8 show as U+FFFD."""

    @abc.abstractmethod
    def entries(self) -> list[Entry]:
        """What each id stands for, `vocab_size` of them."""

    @abc.abstractmethod
    def pieces(self, entry: Entry) -> list[int]:
        """The ids that this tokenizer makes of the text of another one's entry, written in the same; none if it cannot."""

    def token_bytes(self) -> np.ndarray:
        """Bytes of UTF-8 text that each id stands for, int32 `[vocab_size]`; 0 for control tokens and unused ids.

        For a lossless tokenizer, `token_bytes()[encode(text)].sum() == len(text.encode()) + prefix_bytes` for every text but
        the empty one. (One exception: where a tokenizer takes U+2581 for a space, it counts 1 byte and not 3.)
        """
        return np.array([0 if kind in (CONTROL, UNUSED) else len(text) for kind, text in self.entries()], np.int32)

    @functools.cached_property
    def vocabulary(self) -> str | None:
        """Equal where ids stand for the same texts, whatever control tokens are called; None where they stand for none."""
        return digest(*(f"{kind} {b'' if kind == CONTROL else text!r}" for kind, text in self.entries()))

    @abc.abstractmethod
    def fingerprint(self) -> str:
        """Equal for tokenizers that give equal ids; different when the file, its splitting rule or the end token differ."""

    @functools.cached_property
    def prefix_bytes(self) -> int:
        """Bytes put before each text by `encode`: 1 for the space (dummy prefix) of many SentencePiece models, else 0."""
        return max(0, int(self.token_bytes()[self.encode("a")].sum()) - 1)


def well_formed(text: str) -> None:
    """ValueError: the text holds half a surrogate pair, which no UTF-8 stands for."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            half = f"U+{ord(text[error.start]):04X}"
            raise ValueError(f"half a surrogate pair, {half}, at character {error.start} is no text") from None


def digest(*parts: str | bytes) -> str:
    """A fingerprint of the parts."""
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8, "little") + data)
    return whole.hexdigest()[:32]


def first_difference(
    texts: Sequence[str], quick: Callable[[str], list[int]], slow: Callable[[str], list[int]], tokenizer: Tokenizer
) -> tuple[int, int] | None:
    """`(number of the text, byte in it)` where two ways of encoding first give different ids; None where they never do."""
    for number, text in enumerate(texts):
        try:
            ours, theirs = quick(text), slow(text)
        except ValueError:  # a text that one of them refuses shows nothing
            continue
        if ours != theirs:
            same = next((at for at, (one, other) in enumerate(zip(ours, theirs)) if one != other), min(len(ours), len(theirs)))
            return number, int(tokenizer.token_bytes()[ours[:same]].sum())
    return None


def find_eod(asked: str | None, id_of: Callable[[str], int | None], where: str, own: int | None = None) -> int:
    """The id that ends a document: the one asked for, else a known name, else `own` (what the file says of itself).

    Args:
        asked: `--eod-token`.
        id_of: gives a control token's id by its name, None where there is no such control token.
        where: the tokenizer's file, for the error.
    """
    if asked is not None:
        found = id_of(asked)
        if found is None:
            raise UserError(f"--eod-token {asked}: {where} has no control token of this name")
        return found
    for name in END_OF_DOCUMENT:
        found = id_of(name)
        if found is not None:
            return found
    if own is None:
        raise UserError(f"{where} has no token known to end a document ({', '.join(END_OF_DOCUMENT)}); name one with --eod-token")
    return own
