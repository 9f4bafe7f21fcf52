"""Does it repeat itself: lines, paragraphs, phrases.

Gopher's repetition rules (arXiv:2112.11446, table A1). A line or paragraph is a repeated one where the same was there
before. Of 2, 3 and 4 words in a row the commonest is taken, with all its occurrences; of 5 to 10 all that were there
before, each character once. Shares of characters are shares of the whole text's.
"""

from __future__ import annotations

from typing import Any

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.corpus.analysis import AGAIN, TOP
from megatron_ext.corpus.filters import Bound, Judge, Verdict, ratio

EDITS = False


@flag_group("gopher_repetition", "Rule gopher_repetition: does it repeat itself (arXiv:2112.11446)")
class Flags:
    gopher_repetition_max_lines: float = flag(0.30, "largest share of lines that were there before", least=0, most=1, front=True)
    gopher_repetition_max_paragraphs: float = flag(0.30, "largest share of paragraphs that were there before", least=0, most=1)
    gopher_repetition_max_line_characters: float = flag(0.20, "largest share of characters in such lines", least=0, most=1)
    gopher_repetition_max_paragraph_characters: float = flag(
        0.20, "largest share of characters in such paragraphs", least=0, most=1
    )
    gopher_repetition_max_top_2_gram: float = flag(0.20, "largest share of characters in the commonest 2 words in a row", least=0)
    gopher_repetition_max_top_3_gram: float = flag(0.18, "the same of 3 words", least=0)
    gopher_repetition_max_top_4_gram: float = flag(0.16, "the same of 4 words", least=0)
    gopher_repetition_max_5_grams: float = flag(0.15, "largest share of characters in repeated 5 words in a row", least=0, most=1)
    gopher_repetition_max_6_grams: float = flag(0.14, "the same of 6 words", least=0, most=1)
    gopher_repetition_max_7_grams: float = flag(0.13, "the same of 7 words", least=0, most=1)
    gopher_repetition_max_8_grams: float = flag(0.12, "the same of 8 words", least=0, most=1)
    gopher_repetition_max_9_grams: float = flag(0.11, "the same of 9 words", least=0, most=1)
    gopher_repetition_max_10_grams: float = flag(0.10, "the same of 10 words", least=0, most=1)


REASONS = {
    "gopher_repeated_lines": "too many repeated lines",
    "gopher_repeated_paragraphs": "too many repeated paragraphs",
    "gopher_repeated_line_characters": "too much text in repeated lines",
    "gopher_repeated_paragraph_characters": "too much text in repeated paragraphs",
    **{f"gopher_top_{n}_gram": f"too much text in the commonest {n} words" for n in TOP},
    **{f"gopher_repeated_{n}_grams": f"too much text in repeated {n} words" for n in AGAIN},
}
NUMBERS = (
    *("share of repeated paragraphs", "share of text in repeated paragraphs"),
    *("share of repeated lines", "share of text in repeated lines"),
    *(f"share of text in the commonest {n} words" for n in TOP),
    *(f"share of text in repeated {n} words" for n in AGAIN),
)
BOUNDS = (
    Bound("gopher_repetition_max_paragraphs", "share of repeated paragraphs", "gopher_repeated_paragraphs"),
    Bound("gopher_repetition_max_paragraph_characters", NUMBERS[1], "gopher_repeated_paragraph_characters"),
    Bound("gopher_repetition_max_lines", "share of repeated lines", "gopher_repeated_lines"),
    Bound("gopher_repetition_max_line_characters", "share of text in repeated lines", "gopher_repeated_line_characters"),
    *(
        Bound(f"gopher_repetition_max_top_{n}_gram", f"share of text in the commonest {n} words", f"gopher_top_{n}_gram")
        for n in TOP
    ),
    *(
        Bound(f"gopher_repetition_max_{n}_grams", f"share of text in repeated {n} words", f"gopher_repeated_{n}_grams")
        for n in AGAIN
    ),
)


class Filter:
    def __init__(self, c: Any):
        self.judge = Judge(BOUNDS, NUMBERS, c)

    def __call__(self, document: Any) -> Verdict:
        found, size = document.analysis.repeats, len(document.text)
        return self.judge(
            (
                ratio(found.repeated_paragraphs, found.paragraphs),
                ratio(found.paragraph_characters, size),
                ratio(found.repeated_lines, found.lines),
                ratio(found.line_characters, size),
                *(ratio(characters, size) for characters in document.analysis.ngrams),
            )
        )
