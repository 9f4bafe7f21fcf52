"""corpus/matching/signatures.py: estimates have no bias and theory's variance; native equals the twin; bands are datasketch's."""

import math
import pathlib
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.corpus.matching.shingles import Shingles
from megatron_ext.corpus.matching.signatures import EMPTY, IMPLEMENTATIONS, MinHash, bands_and_rows, estimate, meet
from tests import texts
from tests.corpus import hard_texts

DATASKETCH = pathlib.Path(sys.prefix) / "datasketch"
natives = [name for name in IMPLEMENTATIONS if name != "python"]
needs_native = pytest.mark.skipif(not natives, reason="the native module was not built here")


@needs_native
@settings(max_examples=150, deadline=None)
@given(st.lists(hard_texts.texts, max_size=4), st.sampled_from([1, 31, 32, 100, 128]), st.integers(0, 3))
def test_native_equals_the_twin(several, permutations, seed):
    expected = MinHash(permutations, seed=seed, n=3, implementation="python").sign(several)
    assert expected.values.shape == (len(several), permutations)
    for implementation in natives:
        found = MinHash(permutations, seed=seed, n=3, implementation=implementation).sign(several)
        assert (found.values == expected.values).all() and (found.shingles == expected.shingles).all()
        assert found.values.dtype == np.uint32 and found.shingles.dtype == np.uint64


@needs_native
def test_native_equals_the_twin_on_real_text():
    several = [*texts.library_texts(), *hard_texts.REAL.values(), "\n".join(texts.library_texts()) * 2]
    for units in ("words", "characters"):
        expected = MinHash(units=units, implementation="python").sign(several)
        for implementation in natives:
            found = MinHash(units=units, implementation=implementation).sign(several)
            assert (found.values == expected.values).all() and (found.shingles == expected.shingles).all()


def test_a_signature_is_the_minima_of_its_shingles():
    """By the formula, in Python's own integers."""
    sign = MinHash(16, n=2)
    text = texts.library_texts(1)[0]
    hashes = [int(h) % 2**32 for h in Shingles(2).hashes(text)]
    expected = [min((int(a) * x + int(b)) % 2**32 for x in hashes) for a, b in zip(sign._a, sign._b)]
    assert sign.sign([text]).values[0].tolist() == expected
    assert all(a % 2 for a in sign._a.tolist()) and len(set(sign._a.tolist())) == 16


def _pairs(similarity, size, count, draw):
    """Texts of `size` words in all, no word twice, of which two have a share in common; n = 1, so that words are shingles."""
    shared = round(similarity * size)
    for _ in range(count):
        vocabulary = [f"w{number}" for number in draw.integers(0, 2**60, size)]
        common, rest = vocabulary[:shared], vocabulary[shared:]
        yield " ".join(common + rest[::2]), " ".join(common + rest[1::2]), shared / size


@pytest.mark.parametrize("size", [20, 400])
@pytest.mark.parametrize("permutations", [128, 1024])
def test_estimates_have_no_bias_and_the_variance_of_theory(size, permutations):
    """Over 1,500 pairs of words drawn at random: |mean error| ≤ 0.005, and within four of its standard deviations of 0; the mean
    squared error is J (1 - J) / K within 15 %: permutations are as good as independent."""
    draw, sign = np.random.default_rng(size), MinHash(permutations, n=1)
    for similarity in (0.2, 0.5, 0.8, 0.95):
        left, right, exact = zip(*_pairs(similarity, size, 1500, draw))
        error = estimate(sign.sign(left).values, sign.sign(right).values) - np.array(exact)
        variance = exact[0] * (1 - exact[0]) / permutations
        assert abs(error.mean()) <= min(0.005, 4 * math.sqrt(variance / len(error)))
        assert np.square(error).mean() == pytest.approx(variance, rel=0.15)


def test_estimates_of_real_texts():
    """Every pair of 60 overlapping stretches of real code, 5-grams of words, no word made up: as in theory, over permutations."""
    lines = "\n".join(texts.library_texts()).splitlines()
    stretches = ["\n".join(lines[start : start + 120]) for start in range(0, 1800, 30)]
    sets = [set(Shingles().hashes(text).tolist()) for text in stretches]
    pairs = [(i, j) for i in range(60) for j in range(i + 1, min(i + 4, 60))]
    exact = np.array([len(sets[i] & sets[j]) / len(sets[i] | sets[j]) for i, j in pairs])
    assert exact.min() < 0.2 and exact.max() > 0.5
    errors = []
    for seed in range(40):
        values = MinHash(seed=seed).sign(stretches).values
        errors.append(estimate(values[[i for i, _ in pairs]], values[[j for _, j in pairs]]) - exact)
    errors = np.array(errors)
    assert abs(errors.mean()) <= 0.005
    assert np.abs(errors.mean(0)).max() <= 5 * math.sqrt(0.25 / 128 / 40)
    assert np.square(errors).mean() == pytest.approx((exact * (1 - exact)).mean() / 128, rel=0.15)


def test_equal_texts_and_texts_without_words():
    signed = MinHash().sign(["Same, same.", "same same", "!?", "", "other words"])
    assert estimate(signed.values[0], signed.values[1]) == 1
    assert (signed.values[2:4] == EMPTY).all() and signed.shingles.tolist() == [1, 1, 0, 0, 1]
    assert MinHash().sign([]).values.shape == (0, 128)


def test_the_seed_and_the_number_of_permutations_count():
    text = [texts.library_texts(1)[0]]
    assert (MinHash(64).sign(text).values == MinHash(128).sign(text).values[:, :64]).all()
    assert (MinHash(seed=2).sign(text).values != MinHash(seed=1).sign(text).values).mean() > 0.9


@pytest.mark.parametrize("permutations", [16, 128, 256])
def test_bands_and_rows_are_datasketchs(permutations, monkeypatch):
    assert DATASKETCH.is_dir(), f"{DATASKETCH} is missing: bash tests/run.sh installs it"
    monkeypatch.syspath_prepend(str(DATASKETCH))
    from datasketch.lsh import _optimal_param

    for threshold in (0.3, 0.5, 0.7, 0.8, 0.9) if permutations < 256 else (0.8,):
        for weights in ((0.5, 0.5), (0.1, 0.9)) if permutations == 16 else ((0.5, 0.5),):
            assert bands_and_rows(threshold, permutations, *weights) == _optimal_param(threshold, permutations, *weights)


def test_the_curve_by_hand():
    assert meet(0.5, 1, 1) == 0.5 and meet(0.5, 2, 1) == 0.75 and meet(1, 9, 13) == 1 and meet(0, 9, 13) == 0


def test_nonsense_is_refused():
    for wrong in (dict(permutations=0), dict(implementation="sse"), dict(n=0)):
        with pytest.raises(ValueError, match=r"minhash: |shingles: "):
            MinHash(**wrong)
    for threshold in (0, 1, -1):
        with pytest.raises(ValueError, match="between 0 and 1"):
            bands_and_rows(threshold, 128)
