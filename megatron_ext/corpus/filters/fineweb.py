"""Is it prose in lines, not a list: lines that end as sentences do, few short lines, few lines twice, few line breaks.

FineWeb's own rules (arXiv:2406.17557, section 3.6), which it adds to Gopher's and C4's. A document is kept if at least 12
% of its lines end with punctuation that ends sentences (Unicode's Sentence_Terminal), at most 67 % have 30 characters or
fewer, and at most a tenth of the characters is in lines that were there before. The published code (datatrove) asks for a
hundredth there, and for at most 0.3 line breaks a word, which the paper does not name; the latter is here by the code's
value. Blank lines do not count.
"""

from __future__ import annotations

from typing import Any

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.corpus.filters import Bound, Judge, Verdict, ratio

EDITS = False


@flag_group("fineweb", "Rule fineweb: is it prose, not a list (arXiv:2406.17557)")
class Flags:
    fineweb_min_ended_lines: float = flag(0.12, "smallest share of lines that end as sentences do", least=0, most=1, front=True)
    fineweb_max_short_lines: float = flag(0.67, "largest share of short lines", least=0, most=1)
    fineweb_short_line: int = flag(30, "characters that a short line has at most", least=0)
    fineweb_max_repeated_characters: float = flag(
        0.1, "largest share of characters in lines that were there before", least=0, most=1
    )
    fineweb_max_newlines: float = flag(0.3, "most line breaks a word", least=0)


REASONS = {
    "fineweb_unended_lines": "too few lines end as sentences do",
    "fineweb_short_lines": "too many short lines",
    "fineweb_repeated_lines": "too much text in lines that were there before",
    "fineweb_newlines": "too many line breaks",
}
NUMBERS = ("share of ended lines", "share of short lines", "share of characters in lines there before", "line breaks per word")
BOUNDS = (
    Bound("fineweb_min_ended_lines", "share of ended lines", "fineweb_unended_lines"),
    Bound("fineweb_max_short_lines", "share of short lines", "fineweb_short_lines"),
    Bound("fineweb_max_repeated_characters", "share of characters in lines there before", "fineweb_repeated_lines"),
    Bound("fineweb_max_newlines", "line breaks per word", "fineweb_newlines"),
)


class Filter:
    def __init__(self, c: Any):
        self.judge, self.short = Judge(BOUNDS, NUMBERS, c), c.fineweb_short_line

    def __call__(self, document: Any) -> Verdict:
        analysis = document.analysis
        prose = analysis.prose(self.short)
        return self.judge(
            (
                ratio(prose.ended, prose.lines),
                ratio(prose.short, prose.lines),
                ratio(analysis.repeats.line_characters, len(document.text) - prose.newlines),
                ratio(prose.newlines, analysis.counts.all),
            )
        )
