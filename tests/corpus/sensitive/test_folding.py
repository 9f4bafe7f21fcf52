"""corpus/sensitive/folding.py: full-width and typographic characters, against Unicode's own compatibility forms."""

import sys
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from megatron_ext.corpus.sensitive.folding import FOLD, digits_of, fold, pour


def test_full_width_forms_are_those_of_nfkc():
    for character in map(chr, range(0xFF01, 0xFF5F)):
        assert fold(character) in (character, unicodedata.normalize("NFKC", character))
    assert fold("０１２３４５６７８９ＡＺａｚ") == "0123456789AZaz"
    assert fold("（）＋－．：＝＠＿") == "()+-.:=@_"


def test_only_what_is_listed_changes():
    changed = {i for i in range(sys.maxunicode + 1) if fold(chr(i)) != chr(i)}
    assert changed == set(FOLD)
    dashes = {i for i in changed if unicodedata.category(chr(i)) == "Pd" and i < 0xFF00}
    spaces = {i for i in changed if unicodedata.category(chr(i)) == "Zs"}
    assert {chr(i) for i in dashes} == set("‐‑‒–") and {fold(chr(i)) for i in dashes} == {"-"}
    assert {fold(chr(i)) for i in spaces} == {" "}


@given(st.text())
def test_length_stays(text):
    assert len(fold(text)) == len(text)
    assert fold(fold(text)) == fold(text)


@given(st.text())
def test_poured_back_a_texts_own_digits_give_its_folded_digits(text):
    digits = digits_of(text)
    assert digits.isdigit() or not digits
    made = pour(digits, text)
    assert digits_of(made) == digits and len(made) == len(text)
    assert [a for a, b in zip(text, made) if a != b] == [c for c in text if c != fold(c) and fold(c).isdigit()]


def test_pour():
    assert pour("0123456", "(ab) 999-9999") == "(ab) 012-3456"
    assert pour("12", "１-２") == "1-2"
