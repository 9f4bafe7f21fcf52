"""A data set read once, from its first token to its last: every token but the first is a target exactly once.

The last sample is filled up with `NO_TOKEN`, and so are all samples after it. `--full-validation`
"""

from __future__ import annotations

import bisect

import numpy as np

from megatron_ext.data.fingerprint import FORMAT
from megatron_ext.data.index import Documents
from megatron_ext.data.samples import NO_TOKEN, Samples


class InOrder(Samples):
    """Attributes: size: samples that hold a target."""

    def __init__(self, documents: Documents, seq_length: int):
        self.documents, self.seq_length = documents, seq_length
        self._tokens, self._begin = documents.tokens, documents.begin
        self.size = max(-(-(self._tokens - 1) // seq_length), 0)

    def __getitem__(self, number: int) -> np.ndarray:
        sample = np.full(self.seq_length + 1, NO_TOKEN, np.int64)
        begin, end = self._stretch(number)
        if end - begin > 1:
            self.documents.index.read(np.array([self._begin + begin]), np.array([end - begin]), sample)
        return sample

    def _stretch(self, number: int) -> tuple[int, int]:
        begin = number * self.seq_length
        return begin, max(min(begin + self.seq_length + 1, self._tokens), begin)

    def borders(self, number: int) -> np.ndarray:
        index = self.documents.index
        begin, end = (place + self._begin for place in self._stretch(number))
        size = index.dtype.itemsize
        first = bisect.bisect_right(index.offsets, begin * size, self.documents.first, self.documents.last)
        last = bisect.bisect_left(index.offsets, end * size, first, self.documents.last)
        starts = np.unique(np.asarray(index.offsets[first:last]) // size - begin)  # empty documents begin where the next does
        return np.concatenate([np.zeros(1, np.int64), starts[starts > 0]])

    @property
    def fingerprint(self) -> dict:
        one = self.documents.content | {"first": self.documents.first, "last": self.documents.last, "weight": "1"}
        return {"format": FORMAT, "kind": "in_order", "seq_length": self.seq_length, "seed": 0, "sets": [one]}
