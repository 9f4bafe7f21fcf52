"""Tokens to text while they come: whole characters only, and nothing that may turn out to be a stop word.

A character may take several tokens, a stop word may begin in one token and end in another, and a token alone may decode
otherwise than after its neighbours (SentencePiece drops a leading space). `--stop`
"""

from __future__ import annotations

from collections.abc import Sequence

INCOMPLETE = "\N{REPLACEMENT CHARACTER}"


class Decoder:
    """The text that tokens add to a prompt, piece by piece; each piece ends with a whole character.

    A piece is the difference between decoding a few tokens with and without the new ones, so a step costs the same however
    long the text is.
    """

    def __init__(self, tokenizer, prompt: Sequence[int]):
        self._tokenizer = tokenizer
        self._ids, self._told = list(prompt), len(prompt)  # tokens looked at, and how many of them are in pieces already
        self._known = tokenizer.decode(self._ids)

    def add(self, token: int) -> str:
        """The characters that are whole now."""
        self._ids.append(token)
        text = self._tokenizer.decode(self._ids)
        if len(text) <= len(self._known) or text.endswith(INCOMPLETE):
            return ""
        piece = text[len(self._known) :]
        self._ids, self._told = self._ids[self._told :], len(self._ids) - self._told
        self._known = self._tokenizer.decode(self._ids)
        return piece

    def rest(self) -> str:
        """What is left at the end: bytes that became no character."""
        return self._tokenizer.decode(self._ids)[len(self._known) :]


class StopWords:
    """Cuts a text before the stop word that is complete first, however the text is cut into pieces."""

    def __init__(self, words: Sequence[str]):
        self._words = words
        self._held = ""

    def add(self, piece: str, last: bool = False) -> tuple[str, bool]:
        """`(text that is certain, whether a stop word was found)`; the last piece gives all that was held back."""
        self._held += piece
        found = [(at + len(word), at) for word in self._words if (at := self._held.find(word)) >= 0]
        if found:
            return self._held[: min(found)[1]], True
        keep = 0 if last else max((_overlap(self._held, word) for word in self._words), default=0)
        certain = self._held[: len(self._held) - keep]
        self._held = self._held[len(certain) :]
        return certain, False


def _overlap(text: str, word: str) -> int:
    """Characters at the end of `text` with which `word` may begin."""
    return next(size for size in range(min(len(text), len(word) - 1), -1, -1) if text.endswith(word[:size]))
