"""corpus/matching/keep.py: one of each cluster stays, the one that the rule says; arrays beside members."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megatron_ext.corpus.matching.keep import RULES, Member, keep, kept


def test_by_hand():
    members = [Member(1, 90, 4), Member(0, 50, 7), Member(0, 60, 9), Member(0, 60, 12)]
    assert keep(members) == keep(members, "first") == 7
    assert keep(members, "longest") == 9
    assert keep(members[:1], "longest") == 4


documents = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 3)), max_size=30)


@pytest.mark.parametrize("rule", RULES)
@given(documents=documents)
def test_arrays_say_what_members_say_and_one_of_each_cluster_stays(rule, documents):
    clusters, priorities, lengths = np.array(documents, np.int64).reshape(-1, 3).T
    stays = kept(clusters, priorities, lengths.astype(np.uint64), rule)
    expected = {}
    for position, (cluster, priority, length) in enumerate(documents):
        expected.setdefault(cluster, []).append(Member(priority, length, position))
    assert np.flatnonzero(stays).tolist() == sorted(keep(members, rule) for members in expected.values())
    assert stays.sum() == len(set(clusters.tolist()))


def test_without_priorities_and_lengths_the_first_stays():
    assert kept(np.array([5, 3, 5, 3, 8])).tolist() == [True, True, False, False, True]
    with pytest.raises(ValueError, match="longest needs lengths"):
        kept(np.array([1]), rule="longest")
    with pytest.raises(ValueError, match="first, longest"):
        kept(np.array([1]), rule="best")
