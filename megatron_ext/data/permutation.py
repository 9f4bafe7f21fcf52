"""A shuffle of 0 … n − 1 by a key, any place of it at once, and the same on every machine.

Up to 16,384 numbers it is a table: the numbers, sorted by their hashes. Beyond, where sorting takes longer than computing all
places, and a blend of many data sets would hold as many tables, it is computed: a Feistel network over pairs (left, right) of
⌈√n⌉ × ⌈n / ⌈√n⌉⌉ values, six rounds, each of which adds a hash of one half to the other, modulo that half's size; a result of
n or more goes through again (cycle walking; J. Black and P. Rogaway, Ciphers with Arbitrary Finite Domains, CT-RSA 2002). All
100 million places take 4 s this way.

NumPy's own shuffles would do, but NumPy does not promise that another version shuffles alike.
"""

from __future__ import annotations

import math

import numpy as np

_ROUNDS = 6  # too few for a handful of numbers: of their orders some would come up more often
_TABLE = 2**14  # numbers; changes orders, so FORMAT (data/fingerprint.py) must change with it
_FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93  # odd, of no pattern
_MASK = 2**64 - 1
_HALF = np.uint64(32)


def keys(count: int, *what: int) -> np.ndarray:
    """`count` random uint64 out of a list of numbers (a seed, and what the keys are for)."""
    return np.random.SeedSequence(what).generate_state(count, np.uint64)


def hashed(values: np.ndarray, key: np.uint64) -> np.ndarray:
    """A hash of each value under a key, from 0 to 2³² − 1, as uint64."""
    result = values + key
    result *= np.uint64(_FIRST)
    result ^= result >> _HALF
    result *= np.uint64(_SECOND)
    result >>= _HALF
    return result


class Permutation:
    """Args: size: n, at least 1; what: the seed and what the shuffle is for, as for `keys`."""

    def __init__(self, size: int, *what: int):
        self.size = size
        self._rows = math.isqrt(size - 1) + 1
        self._columns = -(-size // self._rows)
        self._keys = keys(_ROUNDS, *what)
        self._int_keys = self._keys.tolist()
        self._table = None
        if size <= _TABLE:
            self._table = np.argsort(hashed(np.arange(size, dtype=np.uint64), self._keys[0]), kind="stable").astype(np.int32)

    def number(self, place: int) -> int:
        """What stands at `place`."""
        if self._table is not None:
            return int(self._table[place])
        while True:
            left, right = divmod(place, self._columns)
            for round_, key in enumerate(self._int_keys):
                if round_ % 2:
                    right = (right + (_hashed_int(left, key) * self._columns >> 32)) % self._columns
                else:
                    left = (left + (_hashed_int(right, key) * self._rows >> 32)) % self._rows
            place = left * self._columns + right
            if place < self.size:
                return place

    def numbers(self, begin: int, end: int) -> np.ndarray:
        """What stands at the places from `begin` to `end` − 1: int64 `[end − begin]`."""
        if self._table is not None:
            return self._table[begin:end].astype(np.int64)
        result = self._network(np.arange(begin, end, dtype=np.uint64))
        again = np.flatnonzero(result >= self.size)
        while len(again):
            walked = self._network(result[again])
            result[again] = walked
            again = again[walked >= self.size]
        return result.astype(np.int64)

    def _network(self, places: np.ndarray) -> np.ndarray:
        rows, columns = np.uint64(self._rows), np.uint64(self._columns)
        left = places // columns
        right = places - left * columns
        for round_, key in enumerate(self._keys):
            if round_ % 2:
                _add(right, hashed(left, key), columns)
            else:
                _add(left, hashed(right, key), rows)
        left *= columns
        left += right
        return left


def _add(half: np.ndarray, hashes: np.ndarray, size: np.uint64) -> None:
    """half ← (half + a number below `size` drawn from the hashes) modulo `size`, in place."""
    hashes *= size
    hashes >>= _HALF
    half += hashes
    half %= size


def _hashed_int(value: int, key: int) -> int:
    """`hashed` of one value: a Python integer is ten times as fast as an array of one."""
    result = (value + key) * _FIRST & _MASK
    result ^= result >> 32
    return (result * _SECOND & _MASK) >> 32
