"""--filters symbols."""

import unicodedata

import pytest

from megatron_ext.corpus.documents import Document
from megatron_ext.corpus.filters import symbols
from tests import texts
from tests.corpus import hard_texts
from tests.corpus.filters.case import CHINESE, judge, make


@pytest.mark.parametrize(
    ("text", "argv", "reason"),
    [
        ("Plain prose, with a comma and an end.", [], None),
        (CHINESE, [], None),
        ("a.b!c?d:", [], "symbols_punctuation"),
        ("a.b!c?d:", ["--symbols-max-punctuation", 0.5], None),
        ("Plain prose.", ["--symbols-max-punctuation", 0.05], "symbols_punctuation"),
        ("x = y + z ^ 2", [], "symbols_symbols"),
        ("x = y + z ^ 2", ["--symbols-max-symbols", 0.5], None),
        ("👍👍 good", [], "symbols_symbols"),
        ("", [], None),
    ],
)
def test_bounds(text, argv, reason):
    assert judge(symbols, text, *argv).reason == reason


def test_shares_are_those_of_unicodes_categories():
    judged = make(symbols)
    for text in [*texts.library_texts(10), *hard_texts.REAL.values(), " ".join(hard_texts.PIECES)]:
        kinds = [unicodedata.category(character)[0] for character in text if not character.isspace()]
        verdict = judged(Document("a:1", "a", {"text": text}))
        assert verdict.numbers == pytest.approx((kinds.count("P") / len(kinds), kinds.count("S") / len(kinds)))
        assert verdict.text is None
