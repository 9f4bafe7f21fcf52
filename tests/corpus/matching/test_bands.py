"""corpus/matching/bands.py: whatever ranges, rounds and jobs there are, the groups are those of all keys at once."""

from __future__ import annotations

import collections
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.corpus.engine.columns import Columns, write_columns
from megatron_ext.corpus.matching import bands
from megatron_ext.corpus.matching.places import Places

BANDS, RANKS = 3, 2


class Signed:
    """Shards of made-up keys, in files as signing leaves them."""

    def __init__(self, folder, seed: int, shards: int = 4, most: int = 60):
        draw = np.random.default_rng(seed)
        pool = np.concatenate([draw.integers(0, 2**64, 12, np.uint64), np.array([0, 2**64 - 1, 2**54, 2**54 - 1], np.uint64)])
        self.jobs, self.read, self._folder = range(shards), collections.Counter(), folder
        self._opened: dict[int, Columns] = {}
        self.keys, ranks = [], []
        for shard in self.jobs:
            documents = int(draw.integers(0, most))
            keys, there = draw.choice(pool, (documents, BANDS)), draw.random(documents) < 0.9
            rank = draw.integers(0, RANKS, documents).astype(np.uint16) if shard % 2 else np.zeros(documents, np.uint16)
            write_columns(folder / str(shard), bands.by_key(keys, there, rank))
            self.keys.append((keys, there))
            ranks.append(rank)
        self.ranks = ranks
        self._places = Places(np.array([np.bincount(rank, minlength=RANKS) for rank in ranks]))

    def places(self) -> Places:
        return self._places

    def columns(self, shard: int) -> Columns:
        columns = Columns(self._folder / str(shard))
        piece = columns.piece

        def counted(name, begin, end):
            self.read[name] += end - begin
            return piece(name, begin, end)

        columns.piece = counted
        return columns

    def groups(self, band: int) -> set[tuple[int, ...]]:
        """Naively, of all keys."""
        found = collections.defaultdict(list)
        for shard, (keys, there) in enumerate(self.keys):
            places = self._places.of(shard, self.ranks[shard])
            for document in np.flatnonzero(there):
                found[int(keys[document, band])].append(int(places[document]))
        return {tuple(sorted(group)) for group in found.values() if len(group) > 1}


def found_by(signed: Signed, units: bands.Units, memory: float) -> dict[int, set[tuple[int, ...]]]:
    found = collections.defaultdict(set)
    for job in range(units.jobs):
        for unit in units.of_job(job):
            for groups in bands.groups_of(signed, unit, BANDS, memory):
                split = np.split(groups.documents, groups.bounds[1:-1])
                found[unit.band] |= {tuple(group.tolist()) for group in split if len(group)}
    return found


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 12), st.sampled_from([1.0, 500.0, 1e6]))
def test_groups_are_those_of_all_keys_at_once(seed, pieces, jobs, memory):
    import pathlib
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        signed = Signed(pathlib.Path(folder), seed)
        found = found_by(signed, bands.Units(BANDS, pieces, min(jobs, BANDS * pieces)), memory)
        assert {band: found[band] for band in range(BANDS)} == {band: signed.groups(band) for band in range(BANDS)}


@pytest.mark.parametrize(("pieces", "memory"), [(1, 1e9), (16, 1e9), (16, 200.0)])
def test_each_key_is_read_once_whatever_the_slices(pieces, memory, tmp_path):
    signed = Signed(tmp_path, 1)
    found_by(signed, bands.Units(BANDS, pieces, pieces), memory)
    there = BANDS * sum(int(there.sum()) for _, there in signed.keys)
    assert signed.read["keys"] == signed.read["documents"] == there


def test_as_many_jobs_as_memory_and_work_ask_for():
    assert bands.Units.of(1000, 14, 2e9) == (14, 1, 1)
    assert bands.Units.of(10_000_000, 14, 2e9) == (14, 1, 14)
    assert bands.Units.of(1e9, 14, 2e9).pieces == 28 and bands.Units.of(1e9, 14, 2e9).jobs == 28 * 14
    assert bands.Units.of(1e15, 14, 2e9).pieces == bands.RANGES
    for units in (bands.Units(14, 5, 9), bands.Units(3, 1024, 7)):
        every = [unit for job in range(units.jobs) for unit in units.of_job(job)]
        for band in range(units.bands):
            edges = [(unit.begin, unit.end) for unit in every if unit.band == band]
            assert edges[0][0] == 0 and edges[-1][1] == bands.RANGES
            assert all(one[1] == other[0] for one, other in zip(edges, edges[1:]))


@given(st.lists(st.integers(0, 20)), st.integers(1, 40))
def test_rounds(weights, most):
    found = list(bands.rounds(np.array(weights, np.int64), most))
    held = [sum(weights[begin:end]) for begin, end in found]
    assert sum(held) == sum(weights) and all(one[1] == other[0] for one, other in zip(found, found[1:]))
    assert all(weight <= most or sum(each > 0 for each in weights[begin:end]) == 1 for weight, (begin, end) in zip(held, found))


def test_numbers_and_places_are_each_others_inverse():
    signed = SimpleNamespace(places=Places(np.array([[0, 3, 2], [4, 0, 1], [0, 0, 0], [2, 2, 2]])))
    draw = np.random.default_rng(0)
    for shard, counts in enumerate(signed.places.counts.tolist()):
        ranks = draw.permutation(np.repeat(np.arange(3), counts))
        numbers = np.empty(len(ranks), np.int64)
        numbers[np.argsort(ranks, kind="stable")] = np.arange(len(ranks))
        places = signed.places.of(shard, ranks)
        assert (signed.places.of_numbers(shard, numbers) == places).all()
        assert (signed.places.numbers(shard, places) == numbers).all()
