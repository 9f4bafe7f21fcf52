"""Logits after texts that grow by a token a step: with a cache, a step costs one token a text.

The window. A model has so many positions. Of a text that has outgrown them it sees the end: when the window is full, the last
half of it is read in again, from position 0 on, and grows until the window is full again. What the model sees is thus a
function of the text's length alone (`first_seen`), with a cache or without, and memory is bounded by the window. Dropping the
oldest keys instead would not give this: what is kept of the others was computed while those were still there. What an encoder
reads is never dropped: it reads it again with the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from megatron_ext.inference.stages import forward
from megatron_ext.models.cache import Cache


def first_seen(length: int, window: int) -> int:
    """The first token that the model sees of a text so long: 0, or as many half windows as leave at most a window."""
    half = max(window // 2, 1)
    return -(-max(length - window, 0) // half) * half


class Beside(NamedTuple):
    """What belongs to a text besides its tokens.

    Attributes:
        prefix: how many tokens at its beginning see each other both ways.
        encoder: tokens that an encoder reads; the text is then the decoder's.
        place: the position of all tokens behind the prefix; None where they go on.
    """

    prefix: int = 0
    encoder: tuple[int, ...] = ()
    place: int | None = None

    def without(self, tokens: int) -> Beside:
        """The same where the text's first tokens are no longer seen."""
        place = None if self.place is None else max(self.place - tokens, 0)
        return Beside(max(self.prefix - tokens, 0), self.encoder, place)


class Reader:
    """Reads a batch of texts.

    Args:
        model: this process's part of a GPT.
        window: positions of the model.
        longest: tokens that a text can come to have.
        cached: False reads every text anew in each step.
        beside: of each text; None where nothing is.
    """

    def __init__(
        self, model, window: int, longest: int, device: torch.device, cached: bool = True, beside: Sequence[Beside] | None = None
    ):
        self._model, self._window, self._slots, self._device = model, window, min(window, longest), device
        self._cached, self._beside = cached, beside
        self._starts: list[int] | None = None  # of the stretch of each text that is in the cache

    def next_logits(self, texts: Sequence[Sequence[int]]) -> torch.Tensor | None:
        """fp32 `[b, vocabulary]` on the last stage, None elsewhere. Each text is last call's and one token more."""
        starts = [first_seen(len(text), self._window) for text in texts]
        if self._cached and starts == self._starts:
            self._cache.next()
            logits = self._forward([[text[-1]] for text in texts], self._seen(starts), first=False)
        else:
            logits = self._read([(*text[start:],) for text, start in zip(texts, starts)], self._seen(starts))
        self._starts = starts
        return logits

    def _seen(self, starts: Sequence[int]) -> list[Beside]:
        """What is beside the part of each text that is seen."""
        return [each.without(start) for each, start in zip(self._beside or [Beside()] * len(starts), starts)]

    def _read(self, texts: Sequence[tuple[int, ...]], beside: Sequence[Beside]) -> torch.Tensor | None:
        """Read whole texts; several samples of one prompt are read once."""
        asked = list(zip(texts, beside))
        numbers = {each: number for number, each in enumerate(dict.fromkeys(asked))}
        rows = [numbers[each] for each in asked]
        texts, beside = zip(*numbers)
        self._cache = Cache(self._slots, self._window, self._device)
        self._cache.read([len(text) for text in texts], [each.prefix for each in beside], [len(each.encoder) for each in beside])
        logits = self._forward(texts, beside, first=True)
        if len(texts) < len(rows):
            self._cache.select(rows)
            logits = None if logits is None else logits[rows]
        return logits

    def _forward(self, tokens: Sequence[Sequence[int]], beside: Sequence[Beside], first: bool) -> torch.Tensor | None:
        encoder = None
        if beside[0].encoder:
            encoder = self._padded([each.encoder if first else () for each in beside])
        positions = self._positions(beside)
        logits = forward(self._model, self._padded(tokens), positions, self._cache, encoder)
        return None if logits is None else logits[:, 0]

    def _padded(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        width = max(map(len, rows))
        return torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], dtype=torch.long, device=self._device)

    def _positions(self, beside: Sequence[Beside]) -> torch.Tensor:
        """Of the tokens that are going through the model, `[b, s]`."""
        positions = self._cache.positions
        if all(each.place is None for each in beside):
            return positions
        prefixes = torch.tensor([each.prefix for each in beside], device=self._device)[:, None]
        places = torch.tensor([-1 if each.place is None else each.place for each in beside], device=self._device)[:, None]
        return torch.where((positions < prefixes) | (places < 0), positions, places)

    def select(self, rows: Sequence[int]) -> None:
        """Go on with these texts alone."""
        self._cache.select(rows)
        self._starts = [self._starts[row] for row in rows]
        self._beside = self._beside and [self._beside[row] for row in rows]
