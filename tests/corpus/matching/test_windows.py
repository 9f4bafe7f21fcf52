"""corpus/matching/windows.py: the kernels in C++ and their twin in numpy give the same arrays."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from megatron_ext.corpus.matching import windows
from megatron_ext.corpus.matching.windows import ALL_BITS, Twin, kernels

needs_native = pytest.mark.skipif("native" not in windows.IMPLEMENTATIONS, reason="the native module was not built here")
documents = st.lists(st.lists(st.integers(0, 3), max_size=60), max_size=5)
masks = st.sampled_from([ALL_BITS, 0, 1, 15])
kinds = st.sampled_from([np.uint8, np.uint16, np.uint32])


def joined(documents, kind):
    ends = np.cumsum([len(document) for document in documents], dtype=np.uint64)
    items = np.array([item for document in documents for item in document], kind)
    return items + kind(np.iinfo(kind).max - 3), ends


@needs_native
@settings(max_examples=600, deadline=None)
@given(documents, kinds, st.integers(1, 20), st.floats(0, 1), masks, st.integers(0, 2**40), st.data())
@example([[0] * 60, [1] * 60], np.uint8, 7, 0.5, ALL_BITS, 0, None)
def test_native_equals_the_twin(documents, kind, window, share, mask, base, data):
    items, ends = joined(documents, kind)
    gram = max(1, int(window * share))
    anchors = kernels("native").anchors(items, ends, base, window, gram, mask)
    assert np.array_equal(anchors, Twin.anchors(items, ends, base, window, gram, mask))
    wanted = anchors[:: data.draw(st.integers(1, 3)) if data else 2, 1].copy()
    found = kernels("native").windows(items, ends, base, window, gram, mask, wanted)
    assert np.array_equal(found, Twin.windows(items, ends, base, window, gram, mask, wanted))
    places = found[:, 1] - np.uint64(base)
    others = places[::-1].copy()
    equal = [kernel.equal_windows(items, places, items, others, window) for kernel in (kernels("native"), Twin)]
    assert np.array_equal(*equal)


@needs_native
@pytest.mark.parametrize("size", [0, 1, 5, 300, 20_000])
@pytest.mark.parametrize("keys", [1, 3, 1000, ALL_BITS])
def test_gathering_by_key_equals_the_twin(size, keys):
    draw = np.random.default_rng(size)
    pairs = np.stack([draw.integers(0, keys, size, np.uint64), draw.permutation(size).astype(np.uint64) * 1000], axis=1)
    for name in ("repeated_pairs", "later_pairs"):
        one, two = pairs.copy(), pairs.copy()
        count = getattr(kernels("native"), name)(one)
        assert count == getattr(Twin, name)(two)
        assert np.array_equal(one[:count], two[:count])


@pytest.mark.parametrize("implementation", windows.IMPLEMENTATIONS)
def test_anchors_cover_all_windows_and_are_few(implementation):
    items = np.random.default_rng(1).integers(0, 256, 20_000).astype(np.uint8)
    ends = np.array([5000, 5010, 20_000], np.uint64)
    anchors = kernels(implementation).anchors(items, ends, 0, 100, 75, ALL_BITS)
    everything = kernels(implementation).windows(items, ends, 0, 100, 75, ALL_BITS, anchors[:, 1].copy())
    assert everything[:, 1].tolist() == [*range(4901), *range(5010, 19_901)]
    assert 2 / 28 < len(anchors) / len(everything) < 2 / 26  # two of each span and one more, which is 27 here


@needs_native
def test_bad_input_is_refused():
    native, items = kernels("native"), np.zeros(50, np.uint8)
    with pytest.raises(ValueError, match="ascend"):
        native.anchors(items, np.array([51], np.uint64), 0, 10, 5, ALL_BITS)
    with pytest.raises(ValueError, match="begins where one is wanted"):
        native.windows(items, np.array([50], np.uint64), 0, 10, 5, ALL_BITS, np.array([10**6], np.uint64))
    with pytest.raises(ValueError, match="behind the text"):
        native.equal_windows(items, np.array([41], np.uint64), items, np.array([0], np.uint64), 10)
    with pytest.raises(TypeError):
        native.anchors(items.astype(np.int64), np.array([50], np.uint64), 0, 10, 5, ALL_BITS)
    with pytest.raises(ValueError, match="'rust'"):
        kernels("rust")
