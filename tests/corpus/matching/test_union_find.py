"""corpus/matching/union_find.py beside a naive oracle; native beside its twin; memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.corpus.matching.shingles import IMPLEMENTATIONS
from megatron_ext.corpus.matching.union_find import clusters, flatten, singles, unite

edges = st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=40)


def by_search(edges, size):
    """Each document's smallest reachable one."""
    neighbours = {at: {at} for at in range(size)}
    for left, right in edges:
        neighbours[left].add(right)
        neighbours[right].add(left)
    found = []
    for at in range(size):
        seen, ahead = set(), [at]
        while ahead:
            here = ahead.pop()
            if here not in seen:
                seen.add(here)
                ahead += neighbours[here]
        found.append(min(seen))
    return found


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@settings(max_examples=300, deadline=None)
@given(edges=edges, cut=st.integers(0, 40))
def test_clusters_are_what_can_be_reached(implementation, edges, cut):
    parents, given_edges = singles(30), np.array(edges, np.int64).reshape(-1, 2)
    for part in (given_edges[:cut], given_edges[cut:]):
        unite(parents, part, implementation)
    flatten(parents, implementation)
    expected = by_search(edges, 30)
    assert parents.tolist() == expected
    documents, ids = clusters(given_edges * 2**40, implementation)
    assert documents.tolist() == [2**40 * at for at in sorted({end for edge in edges for end in edge})]
    assert ids.tolist() == [2**40 * expected[document // 2**40] for document in documents.tolist()]


@pytest.mark.skipif("native" not in IMPLEMENTATIONS, reason="the native module was not built here")
@settings(max_examples=200, deadline=None)
@given(edges=edges)
def test_native_keeps_the_parents_of_its_twin_at_every_step(edges):
    native, twin = singles(30), singles(30)
    for edge in edges:
        unite(native, np.array([edge]), "native")
        unite(twin, np.array([edge]), "python")
        assert (native == twin).all()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_long_chains_in_the_worst_order(implementation):
    size = 20_000 if implementation == "native" else 2000
    for order in (range(size - 1), reversed(range(size - 1))):
        parents = singles(size)
        unite(parents, np.array([(at, at + 1) for at in order]), implementation)
        flatten(parents, implementation)
        assert not parents.any()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_parents_may_lie_in_a_file(tmp_path, implementation):
    parents = np.lib.format.open_memmap(tmp_path / "parents.npy", "w+", np.int64, (1000,))
    parents[:] = singles(1000)
    unite(parents, np.array([[999, 3], [3, 5]]), implementation)
    flatten(parents, implementation)
    parents.flush()
    read = np.load(tmp_path / "parents.npy")
    assert read[[3, 5, 999]].tolist() == [3, 3, 3] and (read != singles(1000)).sum() == 2


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_an_edge_to_nowhere_is_refused(implementation):
    for wrong in ([0, 3], [-1, 0], [2**40, 1]):
        with pytest.raises(IndexError, match="beyond the 3 that there are"):
            unite(singles(3), np.array([[0, 1], wrong]), implementation)
