"""Keeps the lines of a page that are sentences, and the page if enough of them are left.

C4's rules (arXiv:1910.10683, section 2.2, in the order of its published code). A line is taken out if a word in it has
more than 1,000 characters, if it does not end with `. ? ! "` or ends with `...`, if it has fewer than 3 words (between
spaces), if it says "javascript", or names terms of use, cookies or a privacy policy. A page is dropped if a line that is
left says "lorem ipsum" or has a curly bracket, and if fewer than 5 sentences are left. Citation marks ([1], [edit],
[citation needed]) are taken out of lines, before they are judged.

What is kept, is kept as it is: whole lines with their line ends and indents. Capitals do not count in phrases. Numbers of
words and sentences are those of the paper's first edition; its last one has 5 and 3. Its list of bad words is the rule
`keywords`.
"""

from __future__ import annotations

import bisect
import re
from typing import Any

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem
from megatron_ext.corpus import words
from megatron_ext.corpus.analysis import Analysis, Plain, count_sentences
from megatron_ext.corpus.filters import Verdict, ratio

EDITS = True


@flag_group("c4", "Rule c4: keeps the lines that are sentences (arXiv:1910.10683)")
class Flags:
    c4_min_sentences: int = flag(5, "fewest sentences that must be left", least=0, front=True)
    c4_min_words_per_line: int = flag(3, "fewest words of a line", least=0)
    c4_max_word_length: int = flag(1000, "longest word of a line, in characters", least=1)
    c4_terminal_punctuation: bool = flag(True, "take out lines that do not end with a mark")
    c4_marks: tuple[str, ...] = flag((".", "?", "!", '"'), "the marks, a character each")
    c4_citations: bool = flag(True, "take citation marks out of lines: [1], [edit], [citation needed]")
    c4_lorem_ipsum: bool = flag(True, "drop pages that say lorem ipsum")
    c4_javascript: bool = flag(True, "take out lines that say javascript")
    c4_curly_bracket: bool = flag(True, "drop pages with a curly bracket")
    c4_policy: bool = flag(True, "take out lines about cookies, privacy policies and terms of use")

    @staticmethod
    def check(c):
        for mark in c.c4_marks:
            if len(mark) != 1:
                yield Problem("--c4-marks", repr(mark), "is not a single character", "give the marks one by one: . ? !")


REASONS = {
    "c4_lorem_ipsum": "lorem ipsum",
    "c4_curly_bracket": "curly bracket",
    "c4_few_sentences": "too few sentences left",
}
NUMBERS = ("sentences left", "share of lines left")
_REASONS = (None, *REASONS)

CITATION = re.compile(r"\[[0-9]*\]|\[edit\]|\[citation needed\]")
POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_SMALL = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
# Rules as bits; native/c4.cpp has the same.
_RULES = ("citations", "terminal_punctuation", "lorem_ipsum", "javascript", "curly_bracket", "policy")


class Filter:
    def __init__(self, c: Any):
        rules = sum(getattr(c, f"c4_{rule}") << bit for bit, rule in enumerate(_RULES))
        self.settings = (c.c4_min_words_per_line, c.c4_max_word_length, c.c4_min_sentences, "".join(c.c4_marks), rules)

    def __call__(self, document: Any) -> Verdict:
        reason, lines, kept, sentences, text = clean(document.analysis, *self.settings)
        numbers = (sentences, ratio(kept, lines))
        if reason == 3:
            return Verdict(_REASONS[3], f"{sentences} sentences in {kept} of {lines} lines, at least {self.settings[2]}", numbers)
        if reason:
            return Verdict(_REASONS[reason], f"in line {lines}", numbers)
        return Verdict(numbers=numbers, text=text)


def clean(
    analysis: Analysis, min_words: int, max_word_length: int, min_sentences: int, marks: str, rules: int
) -> tuple[int, int, int, int, str | None]:
    """Why the page is dropped (of REASONS, from 1; 0: it is not), lines looked at and kept, their sentences, and the new text
    where that is another."""
    if not isinstance(analysis.measures, Plain):
        return analysis.measures.clean_c4(min_words, max_word_length, min_sentences, marks, rules)
    return _clean(analysis.measures, min_words, max_word_length, min_sentences, marks, rules)


def _clean(
    measures: Plain, min_words: int, max_word_length: int, min_sentences: int, marks: str, rules: int
) -> tuple[int, int, int, int, str | None]:
    """The twin of native/c4.cpp."""
    citations, terminal, lorem_ipsum, javascript, curly_bracket, policy = (rules >> bit & 1 for bit in range(6))
    lines = kept = sentences = place = 0
    left, starts = [], [start for start, _, _ in measures.spans]
    for whole in measures.text.splitlines(keepends=True):
        begin, lines, place = place, lines + 1, place + len(whole)
        line = stripped = whole.strip()
        spaced = line.split()
        if any(len(word) > max_word_length for word in spaced):
            continue
        if citations:
            line = CITATION.sub("", line)
        if terminal and (not line.endswith(tuple(marks)) or line.endswith("...")):
            continue
        if len(spaced) < min_words:
            continue
        small = line.translate(_SMALL)
        if lorem_ipsum and "lorem ipsum" in small:
            return 1, lines, kept, sentences, None
        if javascript and "javascript" in small:
            continue
        if curly_bracket and "{" in line:
            return 2, lines, kept, sentences, None
        if policy and any(phrase in small for phrase in POLICIES):
            continue
        kept += 1
        if line == stripped:
            within = measures.spans[bisect.bisect_left(starts, begin) : bisect.bisect_left(starts, place)]
            sentences += count_sentences(flags for _, _, flags in within)
            left.append(whole)
        else:
            sentences += count_sentences(flags for _, _, flags in words.split(line))
            front = len(whole) - len(whole.lstrip())
            left.append(whole[:front] + line + whole[front + len(stripped) :])
    text = "".join(left)
    dropped = sentences < min_sentences
    return 3 * dropped, lines, kept, sentences, None if dropped or text == measures.text else text
