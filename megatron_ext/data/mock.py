"""Made-up samples that can be learnt: each counts up from a random start by a random step from 1 to 8. `--mock-data`"""

from __future__ import annotations

import numpy as np

from megatron_ext.data.fingerprint import FORMAT
from megatron_ext.data.samples import Samples


class MockSamples(Samples):
    def __init__(self, vocab_size: int, seq_length: int, seed: int):
        self.vocab_size, self.seq_length, self.seed = vocab_size, seq_length, seed

    def __getitem__(self, number: int) -> np.ndarray:
        generator = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 0, number]))
        start, step = generator.integers(self.vocab_size), generator.integers(1, 9)
        return (start + step * np.arange(self.seq_length + 1, dtype=np.int64)) % self.vocab_size

    @property
    def fingerprint(self) -> dict:
        return {
            "format": FORMAT,
            "kind": "mock",
            "seq_length": self.seq_length,
            "seed": self.seed,
            "vocab_size": self.vocab_size,
            "sets": [],
        }
