"""A data set read once, from its first token to its last: every token but the first is a target exactly once.

The last sample is filled up with `NO_TOKEN`, and so are all samples after it. `--full-validation`
"""

from __future__ import annotations

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
        begin = number * self.seq_length
        end = min(begin + self.seq_length + 1, self._tokens)
        if end - begin > 1:
            self.documents.index.read(np.array([self._begin + begin]), np.array([end - begin]), sample)
        return sample

    @property
    def fingerprint(self) -> dict:
        one = self.documents.content | {"first": self.documents.first, "last": self.documents.last, "weight": "1"}
        return {"format": FORMAT, "kind": "in_order", "seq_length": self.seq_length, "seed": 0, "sets": [one]}
