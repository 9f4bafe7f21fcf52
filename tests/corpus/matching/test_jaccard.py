"""corpus/matching/jaccard.py beside Python's own sets; what a check lets through and what it cannot see."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.corpus.matching.jaccard import Sets, check, jaccard
from megatron_ext.corpus.matching.lsh import Groups
from megatron_ext.corpus.matching.shingles import IMPLEMENTATIONS

both = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
small_sets = st.lists(st.frozensets(st.integers(0, 12), max_size=10), min_size=1, max_size=12)


def packed(sets):
    return Sets.of(range(0, 10 * len(sets), 10), [np.array(sorted(each), np.uint64) for each in sets])


def similarity(a, b):
    return len(a & b) / len(a | b) if a | b else 0.0


@both
@settings(max_examples=200, deadline=None)
@given(sets=small_sets)
def test_similarity_is_that_of_sets(implementation, sets):
    pairs = [(i, j) for i in range(len(sets)) for j in range(len(sets))]
    found = jaccard(10 * np.array(pairs), packed(sets), implementation)
    assert found.tolist() == [similarity(sets[i], sets[j]) for i, j in pairs]


@both
@settings(max_examples=300, deadline=None)
@given(sets=small_sets, threshold=st.sampled_from([0.3, 0.5, 2 / 3, 0.8, 1.0]), most=st.integers(1, 4))
def test_each_joins_the_first_representative_that_it_is_like(implementation, sets, threshold, most):
    groups = Groups(10 * np.arange(len(sets)), np.array([0, len(sets) // 2, len(sets)]))
    expected = []
    for members in (range(len(sets) // 2), range(len(sets) // 2, len(sets))):
        chosen = []
        for member in members:
            like = [other for other in chosen if similarity(sets[member], sets[other]) >= threshold]
            expected += [[10 * like[0], 10 * member]] if like else []
            chosen += [member] if not like and len(chosen) < most else []
    edges = check(groups, packed(sets), threshold, most, implementation)
    assert edges.tolist() == expected


@both
def test_what_a_check_cannot_see_in_one_band(implementation):
    """b is like a, c is like b and not like a: c stays apart here. With one representative, d and e do not meet either."""
    sets = packed([range(10), range(2, 12), range(4, 14), range(50, 60), range(50, 60)])
    groups = Groups(sets.documents, np.array([0, 5]))
    assert jaccard(np.array([[0, 10], [10, 20], [0, 20]]), sets).tolist() == pytest.approx([8 / 12, 8 / 12, 6 / 14])
    assert check(groups, sets, 0.6, 8, implementation).tolist() == [[0, 10], [30, 40]]
    assert check(groups, sets, 0.6, 1, implementation).tolist() == [[0, 10]]


@both
def test_a_large_group_costs_a_comparison_a_member(implementation):
    count = 200_000 if implementation == "native" else 2000
    sets = Sets.of(range(count), [np.arange(5, dtype=np.uint64)] * count)
    edges = check(Groups(sets.documents, np.array([0, count])), sets, 0.8, implementation=implementation)
    assert len(edges) == count - 1 and not edges[:, 0].any()


@both
def test_sets_that_are_not_there_are_refused(implementation):
    sets = packed([{1}, {2}])
    with pytest.raises(KeyError, match="has no set of shingles"):
        jaccard(np.array([[0, 11]]), sets, implementation)
    with pytest.raises(KeyError, match="has no set of shingles"):
        check(Groups(np.array([0, 99]), np.array([0, 2])), sets, 0.5, implementation=implementation)
    with pytest.raises(ValueError, match="threshold 0"):
        check(Groups(np.array([0, 10]), np.array([0, 2])), sets, 0, implementation=implementation)
