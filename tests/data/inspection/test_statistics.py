"""The figures are those of numpy over all lengths and tokens at once, however the pair is cut into pieces."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.data import stream
from megatron_ext.data.index import Index
from megatron_ext.data.inspection import statistics as module
from megatron_ext.data.inspection.statistics import PERCENTILES, statistics
from tests.data.pairs import write_pair

DOCUMENTS = st.lists(st.lists(st.integers(0, 40), max_size=40), min_size=1, max_size=50)


@given(DOCUMENTS, st.sampled_from(["uint16", "int32"]), st.sampled_from([2, 16, 2**20]), st.sampled_from([None, 41, 50]))
@settings(max_examples=60, deadline=None)
def test_against_numpy(tmp_path_factory, documents, dtype, short, vocab_size):
    index = Index(write_pair(tmp_path_factory.mktemp("pair") / "a", documents, dtype))
    before = stream.PIECE, module._SHORT
    stream.PIECE, module._SHORT = 64, short
    try:
        found = statistics(index, vocab_size, 7)
    finally:
        stream.PIECE, module._SHORT = before
    lengths = np.array([len(document) for document in documents])
    assert found["lengths"]["mean"] == lengths.mean()
    assert (found["lengths"]["least"], found["lengths"]["most"]) == (lengths.min(), lengths.max())
    expected = np.percentile(lengths, PERCENTILES, method="inverted_cdf")
    assert list(found["lengths"]["percentiles"].values()) == expected.tolist()
    for low, high, many in found["lengths"]["histogram"]:
        assert many == ((lengths >= low) & (lengths <= high)).sum() > 0
    assert sum(many for *_, many in found["lengths"]["histogram"]) == len(documents)
    counts = Counter(token for document in documents for token in document)
    assert dict(found["tokens"]["most_common"]) == dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:20])
    assert found["tokens"]["used_ids"] == len(counts)
    assert found["tokens"]["unused_ids"] == (None if vocab_size is None else vocab_size - len(counts))
    ends = [document[-1] == 7 for document in documents if document]
    assert found["tokens"]["documents_that_end_with_eod"] == sum(ends) / max(len(ends), 1)


def test_what_is_not_known_is_none(tmp_path):
    found = statistics(Index(write_pair(tmp_path / "a", [[70_000]])), None, None)["tokens"]
    assert (found["unused_ids"], found["documents_that_end_with_eod"], found["most_common"]) == (None, None, [[70_000, 1]])
