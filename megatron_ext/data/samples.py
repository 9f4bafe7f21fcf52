"""What training and evaluation read from: samples by number, each a function of (seed, number) alone.

So the length of a run, its batch and micro-batch sizes, processes, workers and resumes change no sample.
"""

from __future__ import annotations

import abc

import numpy as np

NO_TOKEN = -1
"""Stands in a sample where there is no token: after the end of a data set that is read to its last token."""


class Samples(abc.ABC):
    """Samples by number from 0 on, without end: data sets begin again."""

    @abc.abstractmethod
    def __getitem__(self, number: int) -> np.ndarray | dict[str, np.ndarray]:
        """int64 `[seq_length + 1]`: inputs are all but the last, targets all but the first. Or several arrays by name."""

    @property
    @abc.abstractmethod
    def fingerprint(self) -> dict:
        """What the samples are made of, for JSON (data/fingerprint.py)."""

    def prepare(self, epoch: int) -> dict[str, bool]:
        """Draw an epoch's orders ahead of need. Of those worth a file, by its path: whether it is there now."""
        return {}
