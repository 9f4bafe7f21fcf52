"""corpus/matching/normalize.py: each difference counts or does not, as asked; native equals the twin."""

import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.corpus import words
from megatron_ext.corpus.matching.normalize import CODES, DROPPED, Normalization, fold, table, unicode_form
from megatron_ext.corpus.matching.shingles import IMPLEMENTATIONS, normalize
from tests import texts
from tests.corpus import hard_texts

needs_native = pytest.mark.skipif("native" not in IMPLEMENTATIONS, reason="the native module was not built here")
NONE = Normalization(unicode=False, case=False, punctuation=False, whitespace=False)
EVERY = [Normalization(*chosen) for chosen in itertools.product((False, True), repeat=4)]
normalizations = st.sampled_from(EVERY)

CASES = [
    ("unicode", "ﬁne ＡＢＣ cafe\u0301 so\u00adft\u200bly", "fine ABC café softly"),
    ("case", "ABC Straße ΑΣ ПРИВЕТ İ", "abc straße ασ привет İ"),
    ("punctuation", "it's 5% (or so)—“yes”，好。a+b", "it s 5   or so   yes  好 a b"),
    ("whitespace", "\n a\t\u3000b \r\n\n c\x85 ", "a b c"),
]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(("flag", "text", "expected"), CASES)
def test_each_flag_by_hand(flag, text, expected, implementation):
    assert normalize(text, dataclasses.replace(NONE, **{flag: True}), implementation) == expected
    assert normalize(text, NONE, implementation) == text


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_all_together(implementation):
    assert normalize("  “It’s ＯＫ!” — he\u00a0said…\n", implementation=implementation) == "it s ok he said"
    assert normalize("?! …", implementation=implementation) == ""


@needs_native
@settings(max_examples=500, deadline=None)
@given(hard_texts.texts, normalizations)
def test_native_equals_the_twin(text, same):
    assert normalize(text, same, "native") == normalize(text, same, "python")


@needs_native
@pytest.mark.parametrize("same", [Normalization(), NONE, Normalization(whitespace=False)])
def test_native_equals_the_twin_on_every_character(same):
    for start in range(0, 0x110000, 0x2000):
        characters = [chr(code) for code in range(start, start + 0x2000) if not 0xD800 <= code < 0xE000]
        if start >= 0x40000:
            characters = characters[:3]
        text = " ".join(f"{c} a{c}b" for c in characters)
        assert normalize(text, same, "native") == normalize(text, same, "python"), hex(start)


@needs_native
def test_native_equals_the_twin_on_real_text():
    for text in [*texts.library_texts(20), *texts.HARD, *hard_texts.REAL.values()]:
        assert normalize(text, implementation="native") == normalize(text, implementation="python")


@settings(max_examples=300, deadline=None)
@given(hard_texts.texts, normalizations)
def test_to_fold_twice_is_to_fold_once(text, same):
    """What `Shingles.ready` relies on."""
    once = fold(unicode_form(text, same), same)
    assert fold(once, same) == once


@pytest.mark.parametrize("same", EVERY)
def test_the_table_is_a_projection_that_keeps_words_and_spaces_apart(same):
    folds, kinds = table(same), words.kinds()
    for code, new in enumerate(folds):
        if new != DROPPED:
            assert new < CODES and folds[new] == new, hex(code)
            kept = kinds[code] & (words.SPACE | words.UNSPACED)
            punctuation = kinds[code] & (words.PUNCTUATION | words.SYMBOL)
            assert kept == kinds[new] & (words.SPACE | words.UNSPACED) or (punctuation and new == ord(" ")), hex(code)
