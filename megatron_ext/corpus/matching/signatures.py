r"""Signatures by which the similarity of two texts can be told, whatever their length: MinHash (Broder 1997).

The Jaccard similarity of two sets of shingles is J = |A ∩ B| / |A ∪ B|. Under a random order of all hashes, A and B have the
same first element with probability J. With K orders, of which the signature keeps each first element,

    h_k(x) = a_k x + b_k mod 2^32       x: the low half of a shingle's hash, a_k odd, so that h_k is a permutation
    signature_k = min over x of h_k(x)
    estimate = share of k at which two signatures agree        mean J, standard deviation sqrt(J (1 - J) / K)

Two different elements may have the same h_k, as there are 2^32 of them: this adds (1 - J) · |A ∪ B| / 2^33 at most, 0.001 for
two texts of ten million words.

`MinHash.sign` does all from the text to the signature in one pass of C++ (`native/minhash.cpp`), by AVX2 where the machine has
it, or here by its twin. Reason for own code: docs/deduplication.md, "Speed".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from megatron_ext.corpus.matching.shingles import Shingles, mix
from megatron_ext.native import compiled

IMPLEMENTATIONS = (*(compiled.paths() if compiled else ()), "python")
EMPTY = 0xFFFFFFFF
"""What all values are in the signature of a text without shingles."""


class Signatures(NamedTuple):
    values: np.ndarray
    """uint32 [documents, permutations]."""
    shingles: np.ndarray
    """How many shingles each document has, repeated ones too: uint64 [documents]. Where 0, there is nothing to compare."""


class MinHash:
    """Signs texts.

    Args:
        permutations: K, values of a signature.
        n, units, same: see `Shingles`.
        seed: of the permutations. Signatures are comparable where all of these are the same.
        implementation: `auto` or one of IMPLEMENTATIONS.
    """

    def __init__(self, permutations: int = 128, *, seed: int = 1, implementation: str = "auto", **shingles):
        if permutations < 1:
            raise ValueError(f"minhash: permutations is {permutations}; at least 1")
        if implementation not in ("auto", *IMPLEMENTATIONS):
            raise ValueError(f"minhash: implementation is {implementation!r}, and here are {', '.join(IMPLEMENTATIONS)}")
        kind = {"auto": "auto", "python": "python"}.get(implementation, "native")
        self.shingles = Shingles(implementation=kind, **shingles)
        self.permutations = permutations
        self._a, self._b = _parameters(permutations, seed)
        self._native = None
        if self.shingles.native:
            self._native = compiled.MinHash(self.shingles.native, self._a.tolist(), self._b.tolist(), implementation)

    def sign(self, texts: Sequence[str]) -> Signatures:
        if self._native:
            pairs = [self.shingles.ready(text) for text in texts]
            return Signatures(*self._native.sign([text for text, _ in pairs], [lengths for _, lengths in pairs]))
        hashes = [self.shingles.hashes(text) for text in texts]
        values = np.array([self._minima(each) for each in hashes], np.uint32).reshape(len(texts), self.permutations)
        return Signatures(values, np.array([len(each) for each in hashes], np.uint64))

    def _minima(self, hashes: np.ndarray) -> np.ndarray:
        least = np.full(self.permutations, EMPTY, np.uint32)
        for start in range(0, len(hashes), 4096):
            x = hashes[start : start + 4096, None].astype(np.uint32)
            least = np.minimum(least, (self._a * x + self._b).min(0))
        return least


def _parameters(permutations: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """a and b, uint32 [permutations], by counting through SplitMix64: the same with every version of NumPy."""
    counted = np.arange(1, 2 * permutations + 1, dtype=np.uint64) + (np.uint64(seed % 2**32) << np.uint64(32))
    drawn = (mix(counted * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)).astype(np.uint32)
    return drawn[::2] | np.uint32(1), drawn[1::2].copy()


def estimate(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The estimated Jaccard similarity of signatures `[..., permutations]`."""
    return (left == right).mean(-1)


def bands_and_rows(
    threshold: float, permutations: int, false_positive_weight: float = 0.5, false_negative_weight: float = 0.5
) -> tuple[int, int]:
    r"""The b bands of r rows that tell similarities above a threshold best from those below it.

    Two documents meet in a band with probability P(J) = 1 - (1 - J^r)^b. Minimal is, as in datasketch,

        w_fp ∫_0^t P(J) dJ + w_fn ∫_t^1 (1 - P(J)) dJ       b r ≤ permutations

    P is a polynomial of degree b r, so that Gauss and Legendre's formula of permutations / 2 + 1 points is exact.
    """
    if not 0 < threshold < 1 or permutations < 1:
        raise ValueError(
            f"bands_and_rows: the threshold is {threshold} and permutations {permutations}; between 0 and 1, and at least 1"
        )
    points, weights = np.polynomial.legendre.leggauss(permutations // 2 + 1)
    choices = [(b, r) for b in range(1, permutations + 1) for r in range(1, permutations // b + 1)]
    bands, rows = np.array(choices).T[..., None]

    def area(low: float, high: float) -> np.ndarray:
        """Of each choice."""
        at = (high - low) / 2 * points + (high + low) / 2
        return (high - low) / 2 * (meet(at, bands, rows) @ weights)

    missed = 1 - threshold - area(threshold, 1)
    return choices[int(np.argmin(false_positive_weight * area(0, threshold) + false_negative_weight * missed))]


def meet(similarity, bands: int, rows: int):
    """How likely it is that two documents of this similarity have a band in common: the S-curve."""
    return 1 - (1 - similarity**rows) ** bands
