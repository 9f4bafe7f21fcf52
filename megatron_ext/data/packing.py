"""Documents packed into samples without padding, shuffled anew each epoch.

An epoch shuffles the documents, puts them end to end (documents carry their own end token), cuts the stream into samples
of `seq_length + 1` tokens that overlap by one, and shuffles the samples. Both shuffles are computed from (seed, epoch), not
stored. What has to be known of an epoch is where its documents end: one number for every 16 documents is kept, half a byte
a document, and the 16 are summed up again when a sample needs them. What is left at an epoch's end, shorter than a sample,
is dropped; it lies elsewhere in the next epoch. A sample may read on beyond where the next one begins (`window`).
"""

from __future__ import annotations

import dataclasses
import functools
import threading

import numpy as np

from megatron_ext.arguments.problems import UserError
from megatron_ext.data.cache import Cache
from megatron_ext.data.fingerprint import FORMAT
from megatron_ext.data.index import AGAIN, Documents
from megatron_ext.data.permutation import Permutation
from megatron_ext.data.samples import Samples

_GROUP = 16
_CHUNK = 2**16  # documents drawn at a time; what is worked on stays in the processor's cache
_DOCUMENTS, _SAMPLES = 1, 2  # what a permutation is for


@dataclasses.dataclass(frozen=True)
class Epoch:
    """The order of an epoch. `ends[g]`: tokens in the stream before the end of its g-th group of 16 documents."""

    documents: Permutation
    samples: Permutation
    ends: np.ndarray


class PackedSamples(Samples):
    """Samples of `window` tokens and one more, whose beginnings are `seq_length` apart.

    Args:
        number: of the data set in a blend, so that equal ones are shuffled differently.
        cache: where orders are kept.
        window: seq_length, where it is not given.
    """

    def __init__(
        self, documents: Documents, seq_length: int, seed: int, cache: Cache, number: int = 0, window: int | None = None
    ):
        self.documents, self.seq_length, self.seed, self.number = documents, seq_length, seed, number
        self.window, self.tokens = window or seq_length, documents.tokens
        self.samples_per_epoch = max(self.tokens - 1 - self.window + seq_length, 0) // seq_length
        self._index, self._lengths = documents.index, documents.index.lengths[documents.first : documents.last]
        self._cache, self._drawing = cache, threading.Lock()
        self._kept = functools.lru_cache(maxsize=2)(self._draw)

    def __getitem__(self, number: int) -> np.ndarray:
        documents, offsets, counts = self._pieces(number)
        starts = self._index.begins(documents + self.documents.first) + offsets
        return self._index.read(starts, counts, np.empty(self.window + 1, np.int64))

    @property
    def fingerprint(self) -> dict:
        one = self.documents.content | {"first": self.documents.first, "last": self.documents.last, "weight": "1"}
        whole = {"format": FORMAT, "kind": "packed", "seq_length": self.seq_length, "seed": self.seed, "sets": [one]}
        return whole if self.window == self.seq_length else whole | {"window": self.window}

    def prepare(self, epoch: int) -> dict[str, bool]:
        self._epoch(epoch)
        if not self._worth_keeping:
            return {}
        name = self._file(epoch)
        return {str(self._cache.path(name)): self._cache.holds(name, self._groups)}

    def _pieces(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A sample's parts: `(documents, where in each, how many tokens)`, int64 each."""
        self._index.check()
        epoch, place = divmod(number, self.samples_per_epoch)
        order = self._epoch(epoch)
        begin = order.samples.number(place) * self.seq_length
        end = begin + self.window + 1
        first, last = np.searchsorted(order.ends, [begin, end - 1], side="right").tolist()
        documents = order.documents.numbers(_GROUP * first, min(_GROUP * (last + 1), len(self._lengths)))
        lengths = self._lengths[documents].astype(np.int64)
        ends = np.cumsum(lengths) + (int(order.ends[first - 1]) if first else 0)
        starts = ends - lengths
        used = np.flatnonzero((ends > begin) & (starts < end) & (lengths > 0))
        starts, ends = starts[used], ends[used]
        offsets = np.maximum(begin - starts, 0)
        return documents[used], offsets, np.minimum(ends, end) - starts - offsets

    def _epoch(self, epoch: int) -> Epoch:
        with self._drawing:  # else several threads would draw the same
            return self._kept(epoch)

    def _draw(self, epoch: int) -> Epoch:
        documents = Permutation(len(self._lengths), self.seed, self.number, epoch, _DOCUMENTS)
        samples = Permutation(self.samples_per_epoch, self.seed, self.number, epoch, _SAMPLES)
        if self._worth_keeping:
            ends = self._cache.array(self._file(epoch), self._groups, lambda: self._draw_ends(documents))
        else:
            ends = self._draw_ends(documents)
        return Epoch(documents, samples, ends)

    @property
    def _worth_keeping(self) -> bool:
        return self._cache.folder is not None and len(self._lengths) >= self._cache.least

    @property
    def _groups(self) -> int:
        return -(-len(self._lengths) // _GROUP)

    def _file(self, epoch: int) -> str:
        """The name of what the cache keeps of an epoch: all that it depends on, the rule that orders documents as well."""
        content, range_ = self.documents.content["xxh3"], f"{self.documents.first}-{self.documents.last}"
        return f"{content}-{range_}-seed{self.seed}.{self.number}-epoch{epoch}-format{FORMAT}"

    def _draw_ends(self, order: Permutation) -> np.ndarray:
        """`Epoch.ends`; takes four bytes a document while it works."""
        lengths = np.array(self._lengths)  # aligned and in memory: it is read in random order
        size, total = len(lengths), 0
        ends = np.empty(self._groups, np.int64)
        for begin in range(0, size, _CHUNK):
            drawn = lengths[order.numbers(begin, min(begin + _CHUNK, size))].astype(np.int64)
            sums = np.add.reduceat(drawn, np.arange(0, len(drawn), _GROUP))
            part = ends[begin // _GROUP : begin // _GROUP + len(sums)]
            np.cumsum(sums, out=part)
            part += total
            total = int(part[-1])
        if total != self.tokens:
            raise UserError(
                f"{self._index.where}: the lengths in {self._index.prefix}.idx add up to {total} tokens, and .bin has "
                f"{self.tokens} there; the index is damaged: {AGAIN}"
            )
        return ends
