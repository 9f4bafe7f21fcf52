"""Logits after texts that grow by a token a step: with a cache, a step costs one token a text.

The window. A model has so many positions. Of a text that has outgrown them it sees the end: when the window is full, the last
half of it is read in again, from position 0 on, and grows until the window is full again. What the model sees is thus a
function of the text's length alone (`first_seen`), with a cache or without, and memory is bounded by the window. Dropping the
oldest keys instead would not give this: what is kept of the others was computed while those were still there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from megatron_ext.inference.stages import forward
from megatron_ext.models.cache import Cache


def first_seen(length: int, window: int) -> int:
    """The first token that the model sees of a text so long: 0, or as many half windows as leave at most a window."""
    half = max(window // 2, 1)
    return -(-max(length - window, 0) // half) * half


class Reader:
    """Reads a batch of texts.

    Args:
        model: this process's part of a GPT.
        window: positions of the model.
        longest: tokens that a text can come to have.
        cached: False reads every text anew in each step.
        given: of each text, how many tokens at the beginning are a prefix.
    """

    def __init__(
        self, model, window: int, longest: int, device: torch.device, cached: bool = True, given: Sequence[int] | None = None
    ):
        self._model, self._window, self._slots, self._device = model, window, min(window, longest), device
        self._cached, self._given = cached, given
        self._starts: list[int] | None = None  # of the stretch of each text that is in the cache

    def next_logits(self, texts: Sequence[Sequence[int]]) -> torch.Tensor | None:
        """fp32 `[b, vocabulary]` on the last stage, None elsewhere. Each text is last call's and one token more."""
        starts = [first_seen(len(text), self._window) for text in texts]
        if self._cached and starts == self._starts:
            self._cache.next()
            logits = self._forward([[text[-1]] for text in texts])
        else:
            prefixes = [max(given - start, 0) for given, start in zip(self._given or [0] * len(texts), starts)]
            logits = self._read([(*text[start:],) for text, start in zip(texts, starts)], prefixes)
        self._starts = starts
        return logits

    def _read(self, texts: Sequence[tuple[int, ...]], prefixes: Sequence[int]) -> torch.Tensor | None:
        """Read whole texts; several samples of one prompt are read once."""
        asked = list(zip(texts, prefixes))
        numbers = {each: number for number, each in enumerate(dict.fromkeys(asked))}
        rows = [numbers[each] for each in asked]
        self._cache = Cache(self._slots, self._window, self._device)
        self._cache.read([len(text) for text, _ in numbers], [prefix for _, prefix in numbers])
        logits = self._forward([text for text, _ in numbers])
        if len(numbers) < len(texts):
            self._cache.select(rows)
            logits = None if logits is None else logits[rows]
        return logits

    def _forward(self, tokens: Sequence[Sequence[int]]) -> torch.Tensor | None:
        width = max(map(len, tokens))
        ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in tokens], device=self._device)
        logits = forward(self._model, ids, self._cache.positions, self._cache)
        return None if logits is None else logits[:, 0]

    def select(self, rows: Sequence[int]) -> None:
        """Go on with these texts alone."""
        self._cache.select(rows)
        self._starts = [self._starts[row] for row in rows]
        self._given = self._given and [self._given[row] for row in rows]
