"""Denoising (BART, arXiv:1910.13461, section 2.2): a document is corrupted, and written again whole. `--objective denoising`

What is done to it, in this order, each at its rate (BART's own: sentences permuted, 30 % infilled in spans of 3):

    --permute-sentences-rate   of the documents, sentences are shuffled
    --infill-rate              of the tokens go in spans of Poisson length; a span, an empty one too, is one [MASK]
    --token-mask-rate          of the tokens become [MASK]
    --token-replace-rate       … become a random token
    --token-delete-rate        … go
    --rotate-rate              of the documents begin at a random token, and what stood before it follows their end
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from megatron_ext.objectives.reading.draws import Draws
from megatron_ext.objectives.reading.pairs import NOTHING, Asked, Pair, Setting, whole
from megatron_ext.objectives.reading.samples import batch, loss
from megatron_ext.objectives.reading.spans import between
from megatron_ext.objectives.reading.tokens import ends_sentence, ordinary

__all__ = ["Pairs", "batch", "loss"]

_FIRST = 8  # tokens of a suffix that tell that the middle is over


class Pairs:
    def __init__(self, setting: Setting):
        self._flags, self._eod = setting.flags, setting.eod
        (self._mask,) = setting.control(setting.flags.mask_token)
        self._ordinary, self._ends = ordinary(setting.tokenizer), ends_sentence(setting.tokenizer)

    def choose(self, draws: Draws) -> Pairs:
        return self

    def __call__(self, ids: np.ndarray, draws: Draws) -> Pair:
        flags, text = self._flags, whole(ids, self._eod)
        noisy = self._permuted(text, draws) if draws.uniform() < flags.permute_sentences_rate else text
        noisy = self._infilled(noisy, draws)
        noisy = self._each(noisy, draws)
        if draws.uniform() < flags.rotate_rate and len(noisy):
            noisy = np.roll(noisy, -draws.below(len(noisy)))
        return Pair(np.append(noisy, self._eod), np.append(text, self._eod))

    def continued(self, ids: np.ndarray) -> Asked:
        return self.infilled(ids, NOTHING)

    def infilled(self, before: np.ndarray, after: np.ndarray) -> Asked:
        """What stands before is written already, and what follows the answer may be written, too."""
        return self.filled([before, after])._replace(begun=before, until=after[:_FIRST])

    def filled(self, parts: Sequence[np.ndarray]) -> Asked:
        """The document is written whole."""
        return Asked(np.append(between(parts, self._mask), self._eod))

    def sizes(self, length: int) -> tuple[int, int]:
        """Inputs with a margin: how many spans their lengths make is drawn."""
        flags = self._flags
        gone = round(length * flags.infill_rate)
        spans = gone / flags.infill_mean
        inputs = length - gone + (spans + 3 * math.sqrt(spans / flags.infill_mean) if gone else 0)
        kept = inputs * (1 - flags.token_delete_rate)
        return min(math.ceil(kept + 3 * math.sqrt(kept * flags.token_delete_rate)), length + 8) + 1, length + 1

    def _permuted(self, ids: np.ndarray, draws: Draws) -> np.ndarray:
        ends = np.flatnonzero(self._ends[ids]) + 1
        sentences = [part for part in np.split(ids, ends) if len(part)]
        return np.concatenate([sentences[place] for place in draws.order(len(sentences))]) if sentences else ids

    def _infilled(self, ids: np.ndarray, draws: Draws) -> np.ndarray:
        """Spans at random places, none over another; empty ones put a [MASK] between two tokens."""
        budget = round(len(ids) * self._flags.infill_rate)
        if not budget:
            return ids
        lengths = draws.poisson(self._flags.infill_mean, 2 * budget + 8)
        count = int(np.searchsorted(np.cumsum(lengths), budget, side="left")) + 1
        lengths = lengths[:count]
        lengths[-1] -= max(int(lengths.sum()) - budget, 0)
        kept = len(ids) - int(lengths.sum())
        before = np.sort((draws.uniforms(len(lengths)) * (kept + 1)).astype(np.int64))  # kept tokens before each span
        parts, at, given = [], 0, 0
        for stays, length in zip(before.tolist(), lengths[draws.order(len(lengths))].tolist()):
            parts += [ids[at : at + stays - given], [self._mask]]
            at, given = at + stays - given + length, stays
        return np.concatenate([*parts, ids[at:]]).astype(np.int64)

    def _each(self, ids: np.ndarray, draws: Draws) -> np.ndarray:
        """Tokens masked, replaced and deleted, one by one."""
        flags = self._flags
        if not flags.token_mask_rate + flags.token_replace_rate + flags.token_delete_rate:
            return ids
        masks, replaces, other, deletes = (draws.uniforms(len(ids)) for _ in range(4))
        found = np.where(masks < flags.token_mask_rate, self._mask, ids)
        random = self._ordinary[(other * len(self._ordinary)).astype(np.int64)]
        return np.where(replaces < flags.token_replace_rate, random, found)[deletes >= flags.token_delete_rate]
