"""corpus/matching/checking.py: the edges are those of all groups checked at once, whatever the rounds, parts and shards."""

from __future__ import annotations

import numpy as np
import pytest

from megatron_ext.corpus.matching import checking
from megatron_ext.corpus.matching.jaccard import Sets, check
from megatron_ext.corpus.matching.lsh import Groups
from megatron_ext.corpus.matching.places import Places

DOCUMENTS = 40


def made(seed: int, groups: int = 12) -> tuple[Groups, Sets]:
    """Groups that share documents, and some that are the same; sets that are alike in families."""
    draw = np.random.default_rng(seed)
    base = [np.sort(draw.choice(500, draw.integers(3, 60), replace=False)) for _ in range(5)]
    sets = [
        np.unique(np.concatenate([base[n % 5][draw.random(len(base[n % 5])) < 0.9], draw.choice(500, 3)]))
        for n in range(DOCUMENTS)
    ]
    members = [np.sort(draw.choice(DOCUMENTS, draw.integers(2, 15), replace=False)) for _ in range(groups)]
    members += [members[0], members[3], np.arange(DOCUMENTS)]
    bounds = np.cumsum([0, *map(len, members)])
    return Groups(np.concatenate(members), bounds), Sets.of(range(DOCUMENTS), [each.astype(np.uint64) for each in sets])


def loaded(sets: Sets, held: list[int]):
    """How `checking` asks for sets; how many hashes it held at once goes into `held`."""

    def load(documents: np.ndarray) -> Sets:
        some = Sets.of(documents, [sets.values[sets.offsets[one] : sets.offsets[one + 1]] for one in documents.tolist()])
        held.append(len(some.values))
        return some

    return load


def split(groups: Groups) -> list[tuple[int, ...]]:
    return [tuple(group.tolist()) for group in np.split(groups.documents, groups.bounds[1:-1])]


@pytest.mark.parametrize("most", [1, 30, 150, 400, 10**6])
@pytest.mark.parametrize("representatives", [1, 3, 8])
@pytest.mark.parametrize("seed", range(4))
def test_rounds_give_the_edges_of_all_at_once(seed, representatives, most):
    groups, sets = made(seed)
    sizes, held = np.diff(sets.offsets), []
    edges = checking.check_in_rounds(groups, sizes[groups.documents], loaded(sets, held), 0.6, representatives, most)
    expected = check(groups, sets, 0.6, representatives)
    assert sorted(map(tuple, edges.tolist())) == sorted(map(tuple, expected.tolist())) and len(expected)
    assert max(held) <= max(most, sizes.max()) + representatives * sizes.max()


def test_groups_are_checked_once():
    groups, _ = made(0)
    once = split(checking.distinct(groups))
    assert len(once) == len(set(once)) == len(split(groups)) - 2 and set(once) == set(split(groups))
    empty = Groups(np.empty(0, np.int64), np.zeros(1, np.int64))
    assert len(checking.distinct(empty).documents) == 0


@pytest.mark.parametrize("parts", [1, 7])
def test_each_group_is_in_one_part_and_the_same_wherever_it_was_found(parts):
    groups, _ = made(1)
    places = Places(np.array([[25], [15]]))
    columns = checking.by_part(groups, parts, places)
    parted, found = split(Groups(columns["members"], columns["bounds"])), {}
    for part in range(parts):
        for group in parted[columns["parts"][part] : columns["parts"][part + 1]]:
            assert found.setdefault(group, part) == part
    assert sorted(parted) == sorted(split(groups)) and len(set(found.values())) > 1 or parts == 1
    assert columns["place"].tolist() == sorted({one for group in parted for one in group})
    begin, middle, end = columns["starts"].tolist()
    assert begin == 0 and end == len(columns["place"]) and (columns["place"][:middle] < 25).all()


def test_groups_joined_and_taken():
    groups, _ = made(2)
    assert split(Groups.joined([groups, groups])) == split(groups) * 2
    assert split(groups.taken(np.array([4, 0, 4]))) == [split(groups)[number] for number in (4, 0, 4)]
    assert len(Groups.joined([]).documents) == 0 and Groups.joined([]).bounds.tolist() == [0]
