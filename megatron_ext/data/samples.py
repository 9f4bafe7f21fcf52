"""Sample i of a data set is a function of (seed, i) alone: no length of run, batch size, rank or resume changes it.

An epoch shuffles the documents, puts them end to end (documents carry their own end token), cuts the stream into samples
of `seq_length + 1` tokens that overlap by one, without padding, and shuffles the samples. Each epoch is drawn from
(seed, epoch). What is left at an epoch's end, shorter than a sample, is dropped; it lies elsewhere in the next epoch.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from megatron.core.datasets.indexed_dataset import IndexedDataset

from megatron_ext.arguments.problems import UserError
from megatron_ext.data.flags import split_shares


class PackedSamples:
    """Samples over a range of documents of a `.bin/.idx` pair.

    Args:
        lengths: tokens of each document, `[documents]`.
        read: `read(document, offset, length)` gives tokens.
        seq_length: tokens a sample trains on; a sample holds one more.
        seed: of the order.
    """

    def __init__(self, lengths: np.ndarray, read: Callable[[int, int, int], np.ndarray], seq_length: int, seed: int):
        self.lengths, self.read, self.seq_length, self.seed = lengths, read, seq_length, seed
        self.tokens = int(lengths.sum(dtype=np.int64))
        self.samples_per_epoch = (self.tokens - 1) // seq_length
        self._epoch = lru_cache(maxsize=2)(self._draw_epoch)

    def __getitem__(self, index: int) -> np.ndarray:
        """Sample `index`, for any index from 0 on: int64 `[seq_length + 1]`."""
        epoch, position = divmod(index, self.samples_per_epoch)
        order, ends, samples = self._epoch(epoch)
        begin = int(samples[position]) * self.seq_length
        end = begin + self.seq_length + 1
        parts, at = [], int(np.searchsorted(ends, begin, side="right"))
        while begin < end:
            document, document_end = int(order[at]), int(ends[at])
            length = min(end, document_end) - begin
            if length > 0:
                parts.append(self.read(document, begin - (document_end - int(self.lengths[document])), length))
            begin, at = begin + length, at + 1
        return np.concatenate(parts).astype(np.int64, copy=False)

    def _draw_epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`(documents in order, where each ends in the stream, samples in order)` of an epoch."""
        generator = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 0, epoch]))
        order = generator.permutation(len(self.lengths))
        ends = np.cumsum(self.lengths[order], dtype=np.int64)
        return order, ends, generator.permutation(self.samples_per_epoch)


class MockSamples:
    """Made-up samples that can be learnt: each counts up from a random start by a random step from 1 to 8."""

    def __init__(self, vocab_size: int, seq_length: int, seed: int):
        self.vocab_size, self.seq_length, self.seed = vocab_size, seq_length, seed

    def __getitem__(self, index: int) -> np.ndarray:
        generator = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 0, index]))
        start, step = generator.integers(self.vocab_size), generator.integers(1, 9)
        return (start + step * np.arange(self.seq_length + 1, dtype=np.int64)) % self.vocab_size


def open_indexed(prefix: str, vocab_size: int, option: str = "--data-path") -> IndexedDataset:
    """Open a `.bin/.idx` pair, memory-mapped; UserError says what is missing or does not fit."""
    for suffix in (".idx", ".bin"):
        if not os.path.exists(prefix + suffix):
            raise UserError(
                f"{option} {prefix}: {prefix}{suffix} does not exist; "
                "give the prefix that tools/preprocess_data.py wrote, without .bin or .idx"
            )
    try:
        indexed = IndexedDataset(prefix, mmap=True)
    except (AssertionError, ValueError, OSError) as error:
        raise UserError(
            f"{option} {prefix}: {prefix}.idx is not an index of tokens ({error}); run tools/preprocess_data.py again"
        ) from None
    expected = int(np.sum(indexed.sequence_lengths, dtype=np.int64)) * np.dtype(indexed.index.dtype).itemsize
    found = os.path.getsize(prefix + ".bin")
    if found != expected:
        raise UserError(
            f"{option} {prefix}: {prefix}.bin has {found} bytes and its index tells of {expected}; "
            "the pair does not belong together or is cut off: run tools/preprocess_data.py again"
        )
    _check_first_tokens(indexed, f"{option} {prefix}", vocab_size)
    return indexed


def _check_first_tokens(indexed: IndexedDataset, where: str, vocab_size: int) -> None:
    """A glance at some documents: ids beyond the vocabulary mean another tokenizer."""
    for document in np.linspace(0, len(indexed) - 1, num=min(len(indexed), 100), dtype=np.int64):
        largest = int(indexed.get(int(document)).max(initial=0))
        if largest >= vocab_size:
            raise UserError(
                f"{where}: document {document} holds token {largest}, and the tokenizer has {vocab_size} "
                "entries; give the tokenizer that the data was made with (--tokenizer-type, --tokenizer-model)"
            )


def split_documents(documents: int, split: str) -> list[range]:
    """Contiguous ranges of documents for training, validation and test, by shares."""
    shares = split_shares(split) + [0.0, 0.0]
    edges = np.round(np.cumsum([0.0, *shares[:3]]) / sum(shares) * documents).astype(int)
    return [range(int(first), int(last)) for first, last in zip(edges[:-1], edges[1:], strict=True)]


def packed(indexed: IndexedDataset, documents: range, seq_length: int, seed: int, what: str) -> PackedSamples:
    """Samples over `documents`; UserError when they do not make one sample."""
    lengths = np.asarray(indexed.sequence_lengths[documents.start : documents.stop], dtype=np.int64)

    def read(document: int, offset: int, length: int) -> np.ndarray:
        return indexed.get(documents.start + document, offset=offset, length=length)

    samples = PackedSamples(lengths, read, seq_length, seed)
    if samples.samples_per_epoch < 1:
        raise UserError(
            f"the {what} data has {samples.tokens} tokens in {len(documents)} documents, fewer than one sample of "
            f"--seq-length {seq_length} + 1 needs; give more data, another --split or shorter samples"
        )
    return samples
