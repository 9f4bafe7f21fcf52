"""Whether a pair is whole: every offset, length and id, the ends of documents, and the checksum that was written with it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from megatron_ext.data import stream
from megatron_ext.data.checksum import Checksum
from megatron_ext.data.index import Index
from megatron_ext.data.sidecar import Sidecar


def first_damage(index: Index, vocab_size: int | None, sidecar: Sidecar | None) -> str | None:
    """The first thing that is wrong, in a sentence; None where all is well. Sizes and head `Index` has looked at already.

    Args:
        vocab_size: ids at or above it are wrong; None: not known.
    """
    damages = (each for check in (_index, _documents, _tokens) for each in check(index, vocab_size, sidecar))
    return next(damages, None)


def _index(index: Index, vocab_size: int | None, sidecar: Sidecar | None) -> Iterator[str]:
    """Lengths and offsets."""
    size, first, begin = index.dtype.itemsize, 0, 0
    for lengths, offsets in zip(stream.lengths(index), stream.offsets(index)):
        if lengths.min() < 0:
            at = int(np.argmax(lengths < 0))
            yield f"document {first + at} has {lengths[at]} tokens in .idx"
        reach = begin + np.cumsum(lengths, dtype=np.int64) * size
        expected = np.concatenate([[begin], reach[:-1]])
        if (offsets != expected).any():
            at = int(np.argmax(offsets != expected))
            yield (
                f"document {first + at} begins at byte {offsets[at]} of .bin in .idx, and by the lengths before it at byte "
                f"{expected[at]}"
            )
        first, begin = first + len(lengths), int(reach[-1])
    if begin != index.size:
        yield f"the lengths in .idx add up to {begin // size} tokens, and .bin has {index.tokens}"


def _documents(index: Index, vocab_size: int | None, sidecar: Sidecar | None) -> Iterator[str]:
    """The list of documents at the end of `.idx`: from 0 on, never less, to the number of sequences."""
    before, first = 0, 0
    for part in stream.ends(index):
        if first == 0 and part[0] != 0:
            yield f"the list of documents in .idx begins with {part[0]}, not with 0"
        falls = np.flatnonzero(np.diff(part, prepend=before) < 0)
        if len(falls):
            yield f"entry {first + int(falls[0])} of the list of documents in .idx is less than the one before it"
        before, first = int(part[-1]), first + len(part)
    if before != index.documents:
        yield f"the list of documents in .idx ends with {before}, and there are {index.documents} sequences"


def _tokens(index: Index, vocab_size: int | None, sidecar: Sidecar | None) -> Iterator[str]:
    tokenizer = sidecar.tokenizer if sidecar is not None else None
    eod = tokenizer["eod"] if tokenizer is not None and sidecar.append_eod else None
    checksum, first = Checksum(), 0
    for piece, last in stream.tokens_and_last(index):
        low, high = int(piece.min()), int(piece.max())
        if low < 0 or (vocab_size is not None and high >= vocab_size):
            wrong = piece < 0 if vocab_size is None else (piece < 0) | (piece >= min(vocab_size, 2**31 - 1))
            at = int(np.argmax(wrong))
            yield f"token {first + at} of .bin is {piece[at]}, and ids are from 0 to {(vocab_size or 2**31) - 1}"
        if eod is not None and (piece[last] != eod).any():
            at = int(last[piece[last] != eod][0])
            yield f"{_document_of(index, first + at)} does not end with the end-of-document token {eod} but with {piece[at]}"
        checksum.add_tokens(piece)
        first += len(piece)
    for part in stream.lengths(index):
        checksum.add_lengths(part)
    if sidecar is not None and checksum.hexdigest() != sidecar.checksum:
        yield f"its checksum is {checksum.hexdigest()}, and by {sidecar.path} it was {sidecar.checksum} when it was written"


def _document_of(index: Index, token: int) -> str:
    before = first = 0
    for part in stream.lengths(index):
        reach = before + np.cumsum(part, dtype=np.int64)
        if reach[-1] > token:
            return f"document {first + int(np.searchsorted(reach, token, side='right'))}"
        before, first = int(reach[-1]), first + len(part)
    return "the last document"


def checksum_of(index: Index) -> str:
    """Of its content (`checksum.py`)."""
    found = Checksum()
    for piece in stream.tokens(index):
        found.add_tokens(piece)
    for part in stream.lengths(index):
        found.add_lengths(part)
    return found.hexdigest()
