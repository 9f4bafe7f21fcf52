"""corpus/matching/lsh.py: keys, sorting and groups beside naive ones; slices and shards change nothing; the S-curve, measured."""

import collections
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.arguments.problems import UserError
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
@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_groups_of_shards_and_slices_are_those_of_a_dictionary(tmp_path, shards, pieces, implementation):
    signed = signatures(600, 12, 3)
    documents = np.sort(np.random.default_rng(1).choice(2**40, 600, replace=False))
    paths = []
    for shard in reversed(range(shards)):  # read in another order than that of their documents
        part = slice(600 * shard // shards, 600 * (shard + 1) // shards)
        paths.append(str(tmp_path / f"{shard}.npy"))
        lsh.write_keys(paths[-1], Signatures(*(each[part] for each in signed)), documents[part], 3, 4, implementation)
    for band in range(3):
        found = [lsh.groups(paths, band, piece, pieces, implementation) for piece in range(pieces)]
        assert sorted(group for each in found for group in listed(each)) == naive_groups(signed, documents.tolist(), 3, 4, band)
        edges = [tuple(edge) for each in found for edge in each.edges().tolist()]
        expected = [(group[0], other) for each in found for group in listed(each) for other in group[1:]]
        assert edges == expected and len(edges) > 100


def test_a_group_of_all_costs_an_edge_a_document(tmp_path):
    """100,000 copies of one text: not 5 billion pairs."""
    signed = MinHash(8).sign(["the same text again and again"])
    many = Signatures(np.repeat(signed.values, 100_000, 0), np.repeat(signed.shingles, 100_000))
    lsh.write_keys(str(tmp_path / "keys.npy"), many, np.arange(100_000), 2, 4)
    edges = lsh.groups([str(tmp_path / "keys.npy")], 0).edges()
    assert (edges[:, 0] == 0).all() and (edges[:, 1] == np.arange(1, 100_000)).all()


def test_texts_without_shingles_are_nobodys_copies(tmp_path):
    signed = MinHash(8).sign(["!", "word", "?", "", "word"])
    lsh.write_keys(str(tmp_path / "keys.npy"), signed, np.arange(5), 1, 8)
    assert lsh.groups([str(tmp_path / "keys.npy")], 0).edges().tolist() == [[1, 4]]
    lsh.write_keys(str(tmp_path / "none.npy"), MinHash(8).sign(["!", ""]), np.arange(2), 1, 8)
    assert lsh.groups([str(tmp_path / "none.npy")], 0).edges().shape == (0, 2)
    assert lsh.groups([], 0).edges().shape == (0, 2)


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


def test_slices_fit_into_memory():
    assert lsh.slices_for(1000, 10**9) == 1
    assert lsh.slices_for(10**10, 4 * 10**9) == 88
    for documents, memory in ((10**6, 10**6), (10**7, 10**8), (12345, 4567)):
        assert documents / lsh.slices_for(documents, memory) * lsh.BYTES_PER_DOCUMENT <= memory / 1.1


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "keys.npy"
    lsh.write_keys(str(path), signatures(100, 8, 4), np.arange(100), 2, 4)
    with pytest.raises(UserError, match=r"keys\.npy: has 2 bands, and band 2 is asked for"):
        lsh.groups([str(path)], 2)
    whole = path.read_bytes()
    for damaged in (whole[:-8], whole[:50], b"", b"text\n" * 100):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"keys\.npy: cannot be read as band keys"):
            lsh.groups([str(path)], 0)
    np.save(path, np.zeros((2, 3, 4)))
    with pytest.raises(UserError, match="other things than band keys"):
        lsh.groups([str(path)], 0)
    with pytest.raises(ValueError, match="ascending order"):
        lsh.write_keys(str(path), signatures(2, 8, 4), np.array([1, 1]), 2, 4)
