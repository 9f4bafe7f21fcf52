"""Everything together on real texts with planted near-duplicates: who is found, who is not merged, who stays."""

import pathlib
import sys

import numpy as np
import pytest

from megatron_ext.corpus.engine.columns import Columns
from megatron_ext.corpus.matching import lsh
from megatron_ext.corpus.matching.shingles import Shingles
from megatron_ext.corpus.matching.signatures import MinHash, bands_and_rows
from tests.corpus.dedup.case import Case
from tests.corpus.matching.near_duplicates import planted, similarities

DATASKETCH = pathlib.Path(sys.prefix) / "datasketch"
THRESHOLD, BANDS, ROWS = 0.7, *bands_and_rows(0.7, 128)
languages = pytest.mark.parametrize("language", ["english", "chinese", "code"])


def deduplicated(documents, folder, *flags):
    """(edges, cluster of each document) of a run over three files; a cluster's number is that of the document that stays."""
    shards = [[{"id": str(number), "text": documents[number]} for number in range(at, len(documents), 3)] for at in range(3)]
    order = [number for at in range(3) for number in range(at, len(documents), 3)]  # that of places
    case = Case(folder, shards, "--dedup", "minhash", "--minhash-threshold", THRESHOLD, *flags)
    edges = []
    for path in (case.out / "work" / "minhash" / ("pairs_of_a_band" if "--no-minhash-check" in flags else "check")).iterdir():
        pairs = Columns(path)
        edges += zip(pairs["left"].tolist(), pairs["right"].tolist())
    clusters = np.arange(len(documents))
    for id, why in case.gone("minhash").items():
        clusters[int(id)] = int(why.removeprefix("like "))
    assert set(map(int, case.ids())) == set(clusters.tolist())
    return [tuple(sorted((order[left], order[right]))) for left, right in edges], clusters


@languages
def test_near_duplicates_are_found_and_others_are_not(language, tmp_path):
    """Recall ≥ 95 % of pairs at ≥ 0.85; ≤ 0.1 % of those below 0.6 in one cluster; one copy of each cluster stays."""
    documents = planted(language)
    exact = similarities(documents)
    edges, clusters = deduplicated(documents, tmp_path)
    assert min(exact[edge] for edge in edges) >= THRESHOLD

    similar = [pair for pair, similarity in exact.items() if similarity >= 0.85]
    found = sum(clusters[i] == clusters[j] for i, j in similar)
    assert len(similar) > 200 and found >= 0.95 * len(similar), (found, len(similar))

    merged = clusters[:, None] == clusters[None, :]
    merged = [(i, j) for i, j in np.argwhere(merged).tolist() if i < j]
    below = len(documents) * (len(documents) - 1) // 2 - sum(similarity >= 0.6 for similarity in exact.values())
    wrong = sum(exact.get(pair, 0) < 0.6 for pair in merged)
    assert wrong <= 0.001 * below, (wrong, below)

    stays = set(clusters.tolist())
    assert all(clusters[one] == one for one in stays) and len(stays) < 0.7 * len(documents)


def test_without_a_check_more_is_merged_and_nothing_is_lost(tmp_path):
    documents = planted("english")
    _, checked = deduplicated(documents, tmp_path / "checked")
    edges, clusters = deduplicated(documents, tmp_path / "not", "--no-minhash-check")
    assert len(set(clusters.tolist())) <= len(set(checked.tolist()))
    exact = similarities(documents)
    assert min(exact.get(edge, 0) for edge in edges) < THRESHOLD


@languages
def test_candidates_are_as_datasketchs(language, tmp_path, monkeypatch):
    """The same documents, shingles and bands by datasketch's LSH: as many pairs of each similarity are candidates."""
    assert DATASKETCH.is_dir(), f"{DATASKETCH} is missing: bash tests/run.sh installs it"
    monkeypatch.syspath_prepend(str(DATASKETCH))
    import datasketch

    documents = planted(language)
    index, theirs = datasketch.MinHashLSH(params=(BANDS, ROWS), num_perm=128), set()
    for number, text in enumerate(documents):
        signature = datasketch.MinHash(128, seed=7)
        signature.update_batch([shingle.tobytes() for shingle in Shingles().set(text)])
        theirs |= {(other, number) for other in index.query(signature)}
        index.insert(number, signature)
    keys = lsh.band_keys(MinHash().sign(documents), BANDS, ROWS)
    ours = {(i, j) for i, j in np.argwhere((keys[:, :, None] == keys[:, None, :]).any(0)).tolist() if i < j}
    exact = similarities(documents)
    assert min(exact.get(pair, 0) for pair in ours) > 0.1 and min(exact.get(pair, 0) for pair in theirs) > 0.1
    for low, high in ((0.3, 0.5), (0.5, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 1.01)):
        pairs = [pair for pair, similarity in exact.items() if low <= similarity < high]
        shares = [sum(pair in found for pair in pairs) / len(pairs) for found in (ours, theirs)]
        assert len(pairs) > 20 and abs(shares[0] - shares[1]) <= 5 * 0.5 / len(pairs) ** 0.5, (low, shares)
