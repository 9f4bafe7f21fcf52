"""A Bloom filter for streams: what was there before, in a few bits an item, by blocks of a cache line (Putze et al., 2007).

A key (64 bits of hash; xxh3 of the text) has one block of 512 bits and k bits in it. So an item costs one cache miss. With n
items in B blocks a block holds i items with probability Poisson(i; n/B), and a key that was not there is taken for known with

    rate = Σ_i Poisson(i; n/B) · (1 - (1 - 1/512)^(k·i))^k

which `size` turns round: the fewest blocks for a rate, with the best k: 9.9 bits an item at 1 %, 15.5 at 0.1 %. What a filter
says is new is new; at the rate it takes what is new for known, so a stream that it cleans loses that share. Filters of one size
are joined by `union`.

`native/bloom.cpp` does the work, or the twin in this file. Reason for own code: no package has blocks, union and a twin.
"""

from __future__ import annotations

import io
import math
import pathlib

import numpy as np

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.matching.windows import mix
from megatron_ext.corpus.whole_file import write_whole
from megatron_ext.native import compiled, say_that_the_twins_serve

IMPLEMENTATIONS = ("native", "python") if compiled else ("python",)
BLOCK = 512
MOST_BLOCKS = 2**32
"""A key has half of its bits to choose one."""

_FURTHER = 0x9E3779B97F4A7C15
_MOST_PROBES = 14


def rate_of(items: int, blocks: int, probes: int) -> float:
    """The share of new keys that are taken for known ones, once there are so many items."""
    mean = items / blocks
    most = int(mean + 12 * math.sqrt(mean) + 30)
    log_factorial, total = 0.0, 0.0
    for count in range(most):
        log_factorial += math.log(count) if count else 0.0
        share = math.exp(count * math.log(mean) - mean - log_factorial) if mean else float(count == 0)
        total += share * (1 - (1 - 1 / BLOCK) ** (probes * count)) ** probes
    return total


def size(items: int, rate: float) -> tuple[int, int]:
    """The fewest blocks, to one in a thousand, and the number of probes."""
    if items < 1 or not 1e-9 <= rate < 1:
        raise ValueError(f"bloom: for {items} items at a rate of {rate} there is no filter; take 1 item or more and 1e-9 to 1")
    found = []
    for probes in range(1, _MOST_PROBES + 1):
        low, high = 0.1, 512.0  # bits an item
        while high / low > 1.001:
            middle = math.sqrt(low * high)
            enough = rate_of(items, math.ceil(items * middle / BLOCK), probes) <= rate
            low, high = (low, middle) if enough else (middle, high)
        found.append((math.ceil(items * high / BLOCK), probes))
    return min(found)


class Bloom:
    """Made by `Bloom.sized(items, rate)` or `Bloom.load(path)`."""

    def __init__(self, words: np.ndarray, probes: int, implementation: str = "auto"):
        if implementation == "auto" and not compiled:
            say_that_the_twins_serve()
        if implementation not in ("auto", *IMPLEMENTATIONS):
            raise ValueError(f"bloom: implementation is {implementation!r}, and here are {', '.join(IMPLEMENTATIONS)}")
        self.words, self.probes = words, probes
        self._kernels = compiled if compiled and implementation != "python" else Twin

    @classmethod
    def sized(cls, items: int, rate: float, implementation: str = "auto") -> Bloom:
        blocks, probes = size(items, rate)
        if blocks >= MOST_BLOCKS:
            most = MOST_BLOCKS * BLOCK / 8e9
            raise UserError(
                f"a Bloom filter for {items:,} documents at a rate of {rate} is larger than {most:,.0f} GB; give fewer"
            )
        return cls(np.zeros(blocks * BLOCK // 64, np.uint64), probes, implementation)

    def add(self, keys: np.ndarray) -> np.ndarray:
        """Adds keys [n] of uint64 one after another; for each whether it was there, or is taken for one that was."""
        return self._kernels.bloom_add(self.words, np.ascontiguousarray(keys, np.uint64), self.probes)

    def has(self, keys: np.ndarray) -> np.ndarray:
        return self._kernels.bloom_has(self.words, np.ascontiguousarray(keys, np.uint64), self.probes)

    def union(self, other: Bloom) -> Bloom:
        """The filter of the items of both."""
        if (self.words.shape, self.probes) != (other.words.shape, other.probes):
            raise ValueError("bloom: filters of different sizes cannot be joined; make both for the same items and rate")
        return Bloom(self.words | other.words, self.probes)

    def save(self, path: str | pathlib.Path) -> None:
        file = io.BytesIO()
        np.save(file, np.append(self.words, np.uint64(self.probes)))
        write_whole(path, file.getvalue())

    @classmethod
    def load(cls, path: str | pathlib.Path, implementation: str = "auto") -> Bloom:
        """UserError: the file is no filter."""
        try:
            saved = np.load(path)
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{path}: is no Bloom filter ({error})") from None
        if not isinstance(saved, np.ndarray):
            raise UserError(f"{path}: is no Bloom filter, but an archive of arrays")
        right = saved.dtype == np.uint64 and saved.ndim == 1 and len(saved) % 8 == 1 and len(saved) > 8
        if not right or not 1 <= saved[-1] <= _MOST_PROBES:
            raise UserError(f"{path}: is no Bloom filter, but an array {saved.dtype}{list(saved.shape)}")
        return cls(saved[:-1].copy(), int(saved[-1]), implementation)


class Twin:
    """native/bloom.cpp in numpy."""

    @staticmethod
    def bloom_add(words: np.ndarray, keys: np.ndarray, probes: int) -> np.ndarray:
        known = np.zeros(len(keys), bool)
        for number, (places, bits) in enumerate(zip(*Twin._probes(words, keys, probes))):
            known[number] = ((words[places] & bits) != 0).all()
            np.bitwise_or.at(words, places, bits)
        return known

    @staticmethod
    def bloom_has(words: np.ndarray, keys: np.ndarray, probes: int) -> np.ndarray:
        places, bits = Twin._probes(words, keys, probes)
        return ((words[places] & bits) != 0).all(axis=1)

    @staticmethod
    def _probes(words: np.ndarray, keys: np.ndarray, probes: int) -> tuple[np.ndarray, np.ndarray]:
        """The places in `words` and the bits there, [keys, probes]."""
        block = (keys >> np.uint64(32)) * np.uint64(len(words) // 8) >> np.uint64(32)
        places, bits = [], []
        for probe in range(probes):
            drawn = mix(keys + np.uint64((probe // 7 + 1) * _FURTHER % 2**64)) >> np.uint64(probe % 7 * 9)
            places.append(block * np.uint64(8) + (drawn >> np.uint64(6) & np.uint64(7)))
            bits.append(np.uint64(1) << (drawn & np.uint64(63)))
        return np.stack(places, axis=1), np.stack(bits, axis=1)
