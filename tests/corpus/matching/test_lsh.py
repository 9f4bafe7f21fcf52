"""corpus/matching/lsh.py: keys, sorting and groups beside naive ones; the S-curve, measured."""

import collections
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.corpus.matching import lsh
from megatron_ext.corpus.matching.shingles import IMPLEMENTATIONS
from megatron_ext.corpus.matching.signatures import MinHash, Signatures, meet

needs_native = pytest.mark.skipif("native" not in IMPLEMENTATIONS, reason="the native module was not built here")
both = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)


def signatures(documents, permutations, values, seed=0):
    draw = np.random.default_rng(seed)
    signed = draw.integers(0, values, (documents, permutations), dtype=np.uint32)
    return Signatures(signed, draw.integers(0, 10, documents, dtype=np.uint64))


def naive_groups(signed, documents, bands, rows, band):
    """Who shares all values of a band, by a dictionary."""
    found = collections.defaultdict(list)
    for document, values, shingles in zip(documents, signed.values.tolist(), signed.shingles):
        if shingles:
            found[tuple(values[band * rows : (band + 1) * rows])].append(document)
    return sorted(tuple(group) for group in found.values() if len(group) > 1)


def groups(keys, documents, implementation="auto"):
    keys, documents = keys.copy(), documents.copy()
    lsh.sort_pairs(keys, documents, implementation)
    return lsh.group(keys, documents)


def listed(groups):
    return [tuple(groups.documents[a:b].tolist()) for a, b in itertools.pairwise(groups.bounds)]


def test_keys_by_hand():
    """The same values have one key in a band, and another in the next."""
    signed = Signatures(np.array([[1, 2, 1, 2], [1, 2, 2, 1], [2, 1, 1, 2]], np.uint32), np.ones(3, np.uint64))
    first, second = lsh.band_keys(signed, 2, 2).tolist()
    assert first[0] == first[1] != first[2] and second[0] == second[2] != second[1]
    assert len({*first, *second}) == 4
    assert lsh.band_keys(signed, 1, 2).tolist() == [first]
    with pytest.raises(ValueError, match="3 bands of 2 rows do not fit into 4 permutations"):
        lsh.band_keys(signed, 3, 2)


@needs_native
@pytest.mark.parametrize(("bands", "rows"), [(1, 1), (9, 13), (25, 5), (128, 1)])
def test_native_keys_are_the_twins(bands, rows):
    signed = signatures(50, 128, 2**32)
    native, twin = (lsh.band_keys(signed, bands, rows, implementation) for implementation in ("native", "python"))
    assert (native == twin).all()


@both
@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(st.integers(0, 3), st.integers(0, 2**64 - 1), st.sampled_from([1 << 8 * k for k in range(8)])), max_size=60
    )
)
def test_pairs_are_sorted_by_key_and_stay_in_their_order(implementation, keys):
    sorted_keys, documents = np.array(keys, np.uint64), np.arange(len(keys), dtype=np.int64)
    lsh.sort_pairs(sorted_keys, documents, implementation)
    expected = sorted(enumerate(keys), key=lambda pair: pair[1])
    assert list(zip(documents.tolist(), sorted_keys.tolist())) == expected


@both
@pytest.mark.parametrize("band", range(3))
def test_groups_are_those_of_a_dictionary(band, implementation):
    """Also where documents come in another order than that of their numbers, as shards do."""
    signed = signatures(600, 12, 3)
    documents = np.random.default_rng(1).choice(2**40, 600, replace=False)
    kept = signed.shingles > 0
    found = groups(lsh.band_keys(signed, 3, 4, implementation)[band][kept], documents[kept], implementation)
    expected = naive_groups(signed, documents.tolist(), 3, 4, band)
    assert sorted(listed(found)) == sorted(tuple(sorted(group)) for group in expected)
    edges = [tuple(edge) for edge in found.edges().tolist()]
    assert edges == [(group[0], other) for group in listed(found) for other in group[1:]] and len(edges) > 100


def test_a_group_of_all_costs_an_edge_a_document():
    """100,000 copies of one text: not 5 billion pairs."""
    [key] = lsh.band_keys(MinHash(8).sign(["the same text again and again"]), 1, 8)[0]
    edges = groups(np.full(100_000, key), np.arange(100_000)).edges()
    assert (edges[:, 0] == 0).all() and (edges[:, 1] == np.arange(1, 100_000)).all()
    assert groups(np.empty(0, np.uint64), np.empty(0, np.int64)).edges().shape == (0, 2)


@pytest.mark.parametrize(("bands", "rows"), [(9, 13), (25, 5)])
def test_documents_meet_as_often_as_the_curve_says(bands, rows):
    """2,000 pairs of each similarity, within four standard deviations of 1 - (1 - J^r)^b."""
    draw, sign = np.random.default_rng(5), MinHash(128, n=1)
    for similarity in (0.5, 0.7, 0.8, 0.9):
        shared, left, right = round(200 * similarity), [], []
        for _ in range(2000):
            vocabulary = [f"w{number}" for number in draw.integers(0, 2**60, 200)]
            left.append(" ".join(vocabulary[:shared] + vocabulary[shared::2]))
            right.append(" ".join(vocabulary[:shared] + vocabulary[shared + 1 :: 2]))
        met = (lsh.band_keys(sign.sign(left), bands, rows) == lsh.band_keys(sign.sign(right), bands, rows)).any(0).mean()
        expected = meet(shared / 200, bands, rows)
        assert abs(met - expected) <= 4 * np.sqrt(expected * (1 - expected) / 2000) + 1e-3, similarity
