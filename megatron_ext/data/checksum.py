"""A checksum of what a data set holds: its tokens and where its documents begin, and not how they lie in files.

xxh3 (128 bits) over the tokens as int32 and over the lengths as int32, little-endian, and then over both digests. So a data set
that was widened from uint16 to int32, or merged from shards, has the checksum of one that was written at once.
"""

from __future__ import annotations

import numpy as np
import xxhash


class Checksum:
    """Tokens and lengths come in any pieces, each in their order."""

    def __init__(self):
        self._tokens, self._lengths = xxhash.xxh3_128(), xxhash.xxh3_128()

    def add_tokens(self, tokens: np.ndarray) -> None:
        for start in range(0, len(tokens), 2**16):  # as much as stays in the cache
            self._tokens.update(tokens[start : start + 2**16].astype("<i4").data)

    def add_lengths(self, lengths: np.ndarray) -> None:
        self._lengths.update(lengths.astype("<i4").data)

    def hexdigest(self) -> str:
        return xxhash.xxh3_128(self._tokens.digest() + self._lengths.digest()).hexdigest()
