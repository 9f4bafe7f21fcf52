"""Pieces of a text are cut where a reader would, and joined they are the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megatron_ext.corpus.matching.pieces import pieces

KINDS = ("line", "sentence", "paragraph")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("line", "one\n|two\n|\n|three"),
        ("paragraph", "one\ntwo\n\n|three\n \n\n|four\n"),
        ("sentence", "He said: “No.” |Then 3.14 is e.g. |this! |三国。|「四」！”|五\n|six"),
    ],
)
def test_by_hand(kind, text):
    assert "|".join(pieces(text.replace("|", ""), kind)) == text


@given(st.text(), st.sampled_from(KINDS))
def test_units_joined_are_the_text(text, kind):
    assert "".join(pieces(text, kind)) == text
