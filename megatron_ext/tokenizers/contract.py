"""What every tokenizer here offers, and how it finds the token that ends a document.

Text is text: a special token's name inside a document ("<|endoftext|>", "</s>") becomes ordinary tokens, never the control
token. So a document cannot end itself, and what is counted as a document's bytes is what it holds.
"""

from __future__ import annotations

import abc
import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

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


class Tokenizer(abc.ABC):
    """Attributes:
    vocab_size: ids run from 0 to vocab_size - 1.
    eod: the id of the token that ends a document.
    control_tokens: ids by name of the tokens that stand for no text and that no text gives; objectives find theirs here.
    model_entries: of the model: as many, or more with `--vocab-size`. Those beyond vocab_size have logits and no text.
    """

    vocab_size: int
    eod: int
    control_tokens: Mapping[str, int]
    model_entries: int

    @abc.abstractmethod
    def encode(self, text: str) -> list[int]:
        """The ids of a text, without begin or end tokens. ValueError says why a text cannot be encoded."""

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of each text, in this thread alone: whoever wants more cores starts more processes."""
        return [self.encode(text) for text in texts]

    @abc.abstractmethod
    def decode(self, ids: Iterable[int]) -> str:
        """The text that ids stand for. Control tokens stand for none; bytes that are not UTF-8 show as U+FFFD."""

    @abc.abstractmethod
    def token_bytes(self) -> np.ndarray:
        """Bytes of UTF-8 text that each id stands for, int32 `[vocab_size]`; 0 for control tokens and unused ids.

        For a lossless tokenizer, `token_bytes()[encode(text)].sum() == len(text.encode()) + prefix_bytes` for every text but
        the empty one. (One exception: where U+2581 stands for a space, a U+2581 in the text counts 1 byte and not 3.)
        """

    @abc.abstractmethod
    def fingerprint(self) -> str:
        """Equal for tokenizers that give equal ids; different when the file, its splitting rule or the end token differ."""

    @functools.cached_property
    def prefix_bytes(self) -> int:
        """Bytes put before each text by `encode`: 1 for the space (dummy prefix) of many SentencePiece models, else 0."""
        return max(0, int(self.token_bytes()[self.encode("a")].sum()) - 1)


def digest(*parts: str | bytes) -> str:
    """A fingerprint of the parts."""
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8, "little") + data)
    return whole.hexdigest()[:32]


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
