"""Bloom filters: nothing is forgotten, the measured rate is the theory's, the twin is the same filter bit by bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.matching import bloom_filter as bloom
from megatron_ext.corpus.matching.bloom_filter import Bloom, rate_of, size

needs_native = pytest.mark.skipif("native" not in bloom.IMPLEMENTATIONS, reason="the native module was not built here")


def keys(count, seed):
    return np.random.default_rng(seed).integers(0, 2**64, count, np.uint64)


@pytest.mark.parametrize("rate", [0.1, 0.01, 0.001])
@pytest.mark.parametrize("items", [2000, 200_000])
def test_measured_rate_equals_theory(items, rate):
    found = Bloom.sized(items, rate)
    found.add(keys(items, 1))
    assert found.has(keys(items, 1)).all()
    tries = 2_000_000
    measured, theory = found.has(keys(tries, 2)).mean(), rate_of(items, *size(items, rate))
    assert 0.5 * rate < theory <= rate
    error = 4 * (rate / tries) ** 0.5 + rate * (0.03 + 8 / items**0.5)  # of the draw, and of how full this filter is by chance
    assert abs(measured - theory) < error


def test_the_rate_by_simple_means():
    """Poisson's sum is what throwing items into blocks gives; few bits an item more than the best filter without blocks."""
    throws = np.bincount(np.random.default_rng(1).integers(0, 1000, 50_000), minlength=1000)
    assert abs(((1 - (1 - 1 / 512) ** (6 * throws)) ** 6).mean() / rate_of(50_000, 1000, 6) - 1) < 0.05
    blocks, probes = size(10**6, 0.01)
    assert 9.58 < blocks * 512 / 10**6 < 10 and probes == 6
    assert size(10**6, 0.001)[0] > blocks


@needs_native
@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.sampled_from([0.3, 0.01, 1e-4]), st.lists(st.integers(0, 20), max_size=60), st.integers(0, 99))
def test_native_equals_the_twin(items, rate, chosen, seed):
    stream = keys(21, seed)[np.array(chosen, int)]
    native, twin = Bloom.sized(items, rate, "native"), Bloom.sized(items, rate, "python")
    assert np.array_equal(native.add(stream), twin.add(stream))
    assert np.array_equal(native.words, twin.words)
    assert np.array_equal(native.has(keys(500, seed + 1)), twin.has(keys(500, seed + 1)))


@pytest.mark.parametrize("implementation", bloom.IMPLEMENTATIONS)
def test_a_stream_says_what_came_before(implementation):
    found = Bloom.sized(1000, 1e-6, implementation)
    stream = keys(50, 3)
    assert found.add(np.concatenate([stream, stream[::-1], stream[:1]])).tolist() == [False] * 50 + [True] * 51


def test_saved_loaded_and_joined(tmp_path):
    one, two, both = (Bloom.sized(5000, 0.001) for _ in range(3))
    for part, seed in ((one, 1), (two, 2)):
        part.add(keys(2000, seed))
        both.add(keys(2000, seed))
    one.save(tmp_path / "one")
    joined = Bloom.load(tmp_path / "one").union(two)
    assert np.array_equal(joined.words, both.words) and joined.probes == both.probes
    with pytest.raises(ValueError, match="different sizes"):
        one.union(Bloom.sized(6000, 0.001))


def test_bad_input_is_named(tmp_path):
    (tmp_path / "text").write_text("no filter")
    np.save(tmp_path / "array.npy", np.zeros(4))
    np.save(tmp_path / "empty.npy", np.array([7], np.uint64))
    np.savez(tmp_path / "several.npz", words=np.zeros(9, np.uint64))
    for name in ("text", "array.npy", "empty.npy", "several.npz", "missing"):
        with pytest.raises(UserError, match=f"{name}: is no Bloom filter"):
            Bloom.load(tmp_path / name)
    with pytest.raises(ValueError, match="no filter"):
        size(0, 0.1)
    with pytest.raises(ValueError, match="'rust'"):
        Bloom.sized(5, 0.1, "rust")
