"""Filling in the middle (arXiv:2207.14255). `--objective fill_in_middle --fim-rate 0.5 --fim-spm-rate 0.5`

A share of documents is cut in three at random characters, and the middle moved to the end, where it is predicted from what stood
before and behind it:

    PSM   prefix-sentinel · prefix · suffix-sentinel · suffix · middle-sentinel · middle · end
    SPM   prefix-sentinel · suffix-sentinel · suffix · middle-sentinel · prefix · middle · end

Each part is tokenized by itself, as it is when somebody asks for a middle. All tokens are predicted. Documents are cut one by
one, so that packing stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from megatron_ext.arguments.problems import UserError
from megatron_ext.objectives.reading.draws import Draws
from megatron_ext.objectives.reading.pairs import NOTHING, Asked, Pair, Setting, whole
from megatron_ext.objectives.reading.samples import batch, loss

__all__ = ["Pairs", "batch", "loss"]

_BROKEN = "\ufffd"
_LONGEST = 4  # tokens of a byte each that a character can have


class Pairs:
    def __init__(self, setting: Setting):
        flags, self._tokenizer = setting.flags, setting.tokenizer
        self._rate, self._spm_rate, self._eod = flags.fim_rate, flags.fim_spm_rate, setting.eod
        names = flags.fim_prefix_token, flags.fim_middle_token, flags.fim_suffix_token
        self._prefix, self._middle, self._suffix = ([number] for number in setting.control(*names))
        if setting.tokenizer.prefix_bytes:
            raise UserError(
                "--objective fill_in_middle: the tokenizer puts a space before each text, so the parts of a document would not "
                "be its own text; take one without a dummy prefix"
            )

    def choose(self, draws: Draws) -> Pairs:
        return self

    def __call__(self, ids: np.ndarray, draws: Draws) -> Pair:
        if draws.uniform() >= self._rate:
            return Pair(NOTHING, ids)
        body = whole(ids, self._eod)
        head, text, tail = self._text(body)
        first, second = sorted(draws.below(len(text) + 1) for _ in range(2))
        encode = self._tokenizer.encode
        prefix = [*head, *encode(text[:first])]
        middle, suffix = encode(text[first:second]), [*encode(text[second:]), *tail]
        parts = self._around(prefix, suffix, suffix_first=draws.uniform() < self._spm_rate)
        return Pair(NOTHING, np.concatenate([*parts, middle, ids[len(body) :]]).astype(np.int64))

    def _around(self, prefix: Sequence[int], suffix: Sequence[int], suffix_first: bool) -> tuple[Sequence[int], ...]:
        """All up to the middle."""
        if suffix_first:
            return self._prefix, self._suffix, suffix, self._middle, prefix
        return self._prefix, prefix, self._suffix, suffix, self._middle

    def continued(self, ids: np.ndarray) -> Asked:
        return Asked(NOTHING, ids)

    def infilled(self, before: np.ndarray, after: np.ndarray) -> Asked:
        """In the order that was learnt more often; PSM if both were."""
        return Asked(NOTHING, np.concatenate(self._around(before, after, suffix_first=self._spm_rate > 0.5)).astype(np.int64))

    def _text(self, body: np.ndarray) -> tuple[np.ndarray, str, np.ndarray]:
        """The text of tokens, without those at both ends that are parts of a character: a stretch may begin or end in one."""
        first, last = 0, len(body)
        text = self._tokenizer.decode(body)
        while text.startswith(_BROKEN) and first < min(_LONGEST, last):
            first += 1
            text = self._tokenizer.decode(body[first:last])
        while text.endswith(_BROKEN) and last > max(len(body) - _LONGEST, first):
            last -= 1
            text = self._tokenizer.decode(body[first:last])
        return body[:first], text, body[last:]

    def sizes(self, length: int) -> tuple[int, int]:
        return 0, length + 3
