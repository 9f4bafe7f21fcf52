"""Is it running text at all: words of ordinary length and number, few hash signs, ellipses and bullets, some English stop
words.

Gopher's quality rules (arXiv:2112.11446, appendix A1.1). A document is kept if it has 50 to 100,000 words of 3 to 10
characters in the mean; at most 0.1 hash signs and at most 0.1 ellipses a word; at most 90 % of its lines begin with a
bullet and at most 30 % end with an ellipsis; at least 80 % of its words have an alphabetic character; at least two of
eight stop words are in it, as written.

Punctuation is no word where words are counted and measured; in the three ratios it is, as in datatrove, against whose
verdicts these were held (docs/corpora_rules.md). The stop words are English: for other languages give your own, or ask
for none.
"""

from __future__ import annotations

from typing import Any

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem, option
from megatron_ext.corpus.filters import Bound, Judge, Verdict, ratio

EDITS = False
STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")


@flag_group("gopher_quality", "Rule gopher_quality: is it running text (arXiv:2112.11446)")
class Flags:
    gopher_quality_min_words: int = flag(50, "fewest words", least=0, front=True)
    gopher_quality_max_words: int = flag(100_000, "most words", least=0)
    gopher_quality_min_mean_word_length: float = flag(3.0, "shortest mean word, in characters", least=0)
    gopher_quality_max_mean_word_length: float = flag(10.0, "longest mean word, in characters", least=0)
    gopher_quality_max_hashes: float = flag(0.1, "most hash signs a word", least=0)
    gopher_quality_max_ellipses: float = flag(0.1, "most ellipses a word", least=0)
    gopher_quality_max_bullet_lines: float = flag(0.9, "largest share of lines that begin with a bullet", least=0, most=1)
    gopher_quality_max_ellipsis_lines: float = flag(0.3, "largest share of lines that end with an ellipsis", least=0, most=1)
    gopher_quality_min_alphabetic: float = flag(0.8, "smallest share of words with an alphabetic character", least=0, most=1)
    gopher_quality_min_stop_words: int = flag(2, "fewest different stop words in it", least=0, front=True)
    gopher_quality_stop_words: tuple[str, ...] = flag(STOP_WORDS, "the stop words")

    @staticmethod
    def check(c):
        for what in ("words", "mean_word_length"):
            least, most = (f"gopher_quality_{which}_{what}" for which in ("min", "max"))
            if getattr(c, most) < getattr(c, least):
                reason = f"is below {option(least)} {getattr(c, least)}"
                yield Problem(option(most), getattr(c, most), reason, "raise it, or lower the other")
        if c.gopher_quality_min_stop_words > len({*c.gopher_quality_stop_words}):
            there = f"is more than the {len({*c.gopher_quality_stop_words})} of --gopher-quality-stop-words"
            yield Problem(
                "--gopher-quality-min-stop-words", c.gopher_quality_min_stop_words, there, "ask for fewer, or name more"
            )


REASONS = {
    "gopher_few_words": "too few words",
    "gopher_many_words": "too many words",
    "gopher_short_words": "words too short",
    "gopher_long_words": "words too long",
    "gopher_hashes": "too many hash signs",
    "gopher_ellipses": "too many ellipses",
    "gopher_bullets": "too many lines with bullets",
    "gopher_cut_off_lines": "too many lines end with an ellipsis",
    "gopher_not_alphabetic": "too few words of letters",
    "gopher_stop_words": "too few stop words",
}
NUMBERS = (
    *("words", "mean word length", "hash signs per word", "ellipses per word", "share of lines with a bullet"),
    *("share of lines that end with an ellipsis", "share of words with a letter", "different stop words"),
)
BOUNDS = (
    Bound("gopher_quality_min_words", "words", "gopher_few_words"),
    Bound("gopher_quality_max_words", "words", "gopher_many_words"),
    Bound("gopher_quality_min_mean_word_length", "mean word length", "gopher_short_words"),
    Bound("gopher_quality_max_mean_word_length", "mean word length", "gopher_long_words"),
    Bound("gopher_quality_max_hashes", "hash signs per word", "gopher_hashes"),
    Bound("gopher_quality_max_ellipses", "ellipses per word", "gopher_ellipses"),
    Bound("gopher_quality_max_bullet_lines", "share of lines with a bullet", "gopher_bullets"),
    Bound("gopher_quality_max_ellipsis_lines", "share of lines that end with an ellipsis", "gopher_cut_off_lines"),
    Bound("gopher_quality_min_alphabetic", "share of words with a letter", "gopher_not_alphabetic"),
    Bound("gopher_quality_min_stop_words", "different stop words", "gopher_stop_words"),
)


class Filter:
    def __init__(self, c: Any):
        self.judge, self.stop_words = Judge(BOUNDS, NUMBERS, c), c.gopher_quality_stop_words

    def __call__(self, document: Any) -> Verdict:
        analysis = document.analysis
        counts, lines, marks = analysis.counts, analysis.lines, analysis.marks
        return self.judge(
            (
                counts.words,
                ratio(counts.characters, counts.words),
                ratio(marks.hashes, counts.all),
                ratio(marks.ellipses, counts.all),
                ratio(lines.bullets, lines.lines),
                ratio(lines.ellipses, lines.lines),
                ratio(counts.alphabetic, counts.all),
                analysis.distinct(self.stop_words),
            )
        )
