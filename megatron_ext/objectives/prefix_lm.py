"""Prefix language modelling (arXiv:1910.10683, section 3.2.3). `--objective prefix_lm`

The first p tokens of a document are given and seen both ways, by a prefix decoder or by an encoder, the rest is predicted. p is

    drawn evenly from 1 to n − 1       where nothing is said; for an encoder and a decoder, so that both are filled
                                       (reading/proportions.py)
    --prefix-length                    the same for all
    --prefix-end-token                 said by the data: a control token in each document ends its prefix, and belongs to it

tools/preprocess_data.py --prefix-key PROMPT writes documents of the third kind. The boundary is a token of the stream and not a
file beside it, so that it survives whatever is done to `.bin/.idx` (merging, blending, cutting, Megatron-LM's own tools); no text
can write it; and a prompt to the trained model ends with it, too. A sample may begin within a document: the rest of a prefix is
still one, and the rest of a text whose prefix went by is predicted behind its first token. Where a prefix does not fit what is
left of a sample, its end is taken, with the beginning of the text. A stretch that shows neither its prefix's end nor its own is
left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from megatron_ext.arguments.problems import UserError
from megatron_ext.objectives.reading.draws import Draws
from megatron_ext.objectives.reading.pairs import Asked, Pair, Setting
from megatron_ext.objectives.reading.samples import batch, loss

__all__ = ["Pairs", "batch", "loss"]

_SHOWN = 12  # tokens of a document in an error
_WRITE = "write it with tools/preprocess_data.py --prefix-key KEY --append-eod"


class Pairs:
    def __init__(self, setting: Setting):
        self._fixed, self._tokenizer = setting.flags.prefix_length, setting.tokenizer
        self._name, self._end = setting.flags.prefix_end_token, None
        if self._name is not None:
            (self._end,) = setting.control(self._name)
            self.of = self._said
            self.way_out = f", or, where the data has no {self._name}, {_WRITE}"
        self.at = _Share if self._fixed is None and self._end is None else None

    def choose(self, draws: Draws) -> Pairs:
        return self

    def __call__(self, ids: np.ndarray, draws: Draws) -> Pair:
        drawn = 1 + draws.below(max(len(ids) - 1, 1))
        length = drawn if self._fixed is None else min(self._fixed, max(len(ids) - 1, 0))
        return Pair(self._given(ids[:length]), ids[length:])

    def sizes(self, length: int) -> tuple[int, int]:
        half = length // 2 if self._fixed is None else min(self._fixed, length - 1)
        return half, length - half

    def continued(self, ids: np.ndarray) -> Asked:
        return Asked(self._given(ids))

    def _given(self, ids: np.ndarray) -> np.ndarray:
        """A prefix of a text that does not say where it ends."""
        return ids if self._end is None else np.append(ids, self._end)

    def _said(self, document: np.ndarray, first: bool, last: bool, room: Sequence[int]) -> tuple[np.ndarray, _Cut] | None:
        """What is taken of a document, and where it is cut; None: it predicts nothing.

        first, last: a part, without begin, without end; room: what is left of a sample.
        """
        found = np.flatnonzero(document == self._end)
        if len(found):
            prefix = int(found[0]) + 1
            text = len(document) - prefix
            most = room[0] if len(room) == 2 else room[0] + 1 - min(text, room[0] // 2)
            begin = max(prefix - most, 0)
            return (document[begin:], _Cut(prefix - begin)) if text and most > 0 else None
        if last:
            return None
        if first:
            return document, _Cut(1)
        begins = self._tokenizer.decode(document[:_SHOWN])
        raise UserError(
            f"--prefix-end-token {self._name}: a document of the data has none, so that nothing says where its prefix ends (it "
            f"begins {begins!r}); {_WRITE}",
        )


class _Share:
    """A document in two, behind this share of it."""

    def __init__(self, share: float):
        self._share = share

    def _prefix(self, length: int) -> int:
        return min(1 + int(self._share * max(length - 1, 1)), length)

    def __call__(self, ids: np.ndarray, draws: Draws) -> Pair:
        prefix = self._prefix(len(ids))
        return Pair(ids[:prefix], ids[prefix:])

    def sizes(self, length: int) -> tuple[int, int]:
        prefix = self._prefix(length)
        return prefix, length - prefix


class _Cut:
    """A document in two, behind so many tokens."""

    def __init__(self, prefix: int):
        self._prefix, self.shortest = prefix, prefix + 1

    def __call__(self, ids: np.ndarray, draws: Draws) -> Pair:
        return Pair(ids[: self._prefix], ids[self._prefix :])

    def sizes(self, length: int) -> tuple[int, int]:
        given = min(self._prefix, length)
        return given, length - given
