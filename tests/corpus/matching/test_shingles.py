"""corpus/matching/shingles.py: n-grams by definition, pinned hashes, native beside its twin."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.corpus.analysis import Analysis
from megatron_ext.corpus.matching.normalize import Normalization
from megatron_ext.corpus.matching.shingles import BASE, IMPLEMENTATIONS, UNITS, Shingles, mix, normalize, unit_hash
from tests import texts
from tests.corpus import hard_texts
from tests.corpus.matching.test_normalize import EVERY

needs_native = pytest.mark.skipif("native" not in IMPLEMENTATIONS, reason="the native module was not built here")
PINNED_UNITS = [4635109890537377425, 6554142213023214452, 17735061405765339792]
PINNED_SHINGLES = [16315005253124623789, 13024153419723685082]
PINNED_SHORT = [16315005253124623789]
both = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)


def by_definition(units, n):
    n, base, found = min(n, len(units)), int(BASE), []
    for i in range(len(units) - n + 1 if n else 0):
        h = sum(unit_hash(unit) * base ** (n - 1 - k) for k, unit in enumerate(units[i : i + n]))
        found.append(int(mix(np.array([h % 2**64], np.uint64))[0]))
    return found


@both
@pytest.mark.parametrize("n", [1, 2, 5, 13])
def test_words_by_definition(n, implementation):
    """Words are those of corpus/words.py in the normalised text."""
    for text in [*texts.library_texts(4), *hard_texts.REAL.values(), "one two", "", "!?"]:
        expected = by_definition(Analysis(normalize(text)).words(), n)
        assert Shingles(n, implementation=implementation).hashes(text).tolist() == expected


@both
def test_characters_by_definition(implementation):
    for text in [*texts.library_texts(2), *hard_texts.REAL.values(), "ab", "a  b ", " \n", ""]:
        expected = by_definition(normalize(text), 7)
        assert Shingles(7, "characters", implementation=implementation).hashes(text).tolist() == expected


@both
def test_chinese_and_thai_are_not_cut_by_spaces(implementation):
    shingles = Shingles(2, implementation=implementation)
    for language in ("chinese", "japanese", "thai"):
        text = hard_texts.REAL[language]
        assert len(shingles.hashes(text)) > 3 * len(text.split())
        assert len(shingles.hashes(text)) == len(Analysis(normalize(text)).words()) - 1


@both
def test_hashes_stay_what_they_are(implementation):
    """They lie on disk beside those of other days and machines."""
    assert [unit_hash(unit) for unit in ("a", "wordwordword", "三国")] == PINNED_UNITS
    assert Shingles(2, implementation=implementation).hashes("One two, three!").tolist() == PINNED_SHINGLES
    assert Shingles(5, implementation=implementation).hashes("One two").tolist() == PINNED_SHORT


@both
def test_normalisation_changes_shingles_as_asked(implementation):
    pairs = {
        "unicode": ("ﬁne", "fine"),
        "case": ("Fine", "fine"),
        "punctuation": ("fine!", "fine"),
        "whitespace": ("a  b", "a b"),
    }
    for flag, (left, right) in pairs.items():
        for asked in (True, False):
            shingles = Shingles(3, "characters", Normalization(**{flag: asked}), implementation)
            assert (shingles.hashes(left).tolist() == shingles.hashes(right).tolist()) == asked, flag


@needs_native
@settings(max_examples=500, deadline=None)
@given(hard_texts.texts, st.sampled_from(EVERY), st.integers(1, 8), st.sampled_from(UNITS))
def test_native_equals_the_twin(text, same, n, units):
    native, twin = (Shingles(n, units, same, implementation) for implementation in ("native", "python"))
    assert native.hashes(text).tolist() == twin.hashes(text).tolist()


@needs_native
@pytest.mark.parametrize("units", UNITS)
def test_native_equals_the_twin_across_its_blocks(units):
    """Texts longer than the 16 KiB that native code takes at a time, their spaces in all places."""
    draw = random.Random(3)
    for length in (16_383, 16_384, 16_385, 40_000):
        for pieces in (["a"], [" ", "b"], ["word ", "é\u3000", "!"], ["三国 ", "演义", "x"], ["a ", "\n\n", "\t"]):
            text = ""
            while len(text.encode()) < length:
                text += draw.choice(pieces)
            text += draw.choice(["", " ", "  z", "\n"])
            native, twin = (Shingles(5, units, implementation=implementation) for implementation in ("native", "python"))
            assert native.hashes(text).tolist() == twin.hashes(text).tolist()


def test_sets_are_sorted_and_without_repetition():
    found = Shingles(2).set("a b a b a b c")
    assert found.tolist() == sorted(set(Shingles(2).hashes("a b a b a b c").tolist())) and len(found) == 3


def test_nonsense_is_refused():
    for wrong in (dict(n=0), dict(units="bytes"), dict(implementation="rust")):
        with pytest.raises(ValueError, match="shingles: "):
            Shingles(**wrong)


@needs_native
@pytest.mark.parametrize("odd", ["\u0301", "é", "_", "\x00", "\x1f", "\u2003", "三", " "])
def test_native_equals_the_twin_wherever_64_bytes_end(odd):
    """Words are found 64 bytes at a time; what is no letter or digit of ASCII may stand anywhere in them."""
    for same in (Normalization(), Normalization(punctuation=False)):
        native, twin = (Shingles(2, same=same, implementation=implementation) for implementation in ("native", "python"))
        for before in range(58, 70):
            for text in (
                f"{'a' * before}{odd}b c",
                f"{'ab ' * 20}{'c' * (before - 50)}{odd} d{odd}e",
                "x" * before + f" {odd}{'y' * 130} z",
            ):
                assert native.hashes(text).tolist() == twin.hashes(text).tolist(), (before, text)
