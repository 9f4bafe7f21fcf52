"""--filters fineweb."""

import pytest

from megatron_ext.corpus.documents import Document
from megatron_ext.corpus.filters import fineweb
from tests import texts
from tests.corpus import hard_texts
from tests.corpus.filters.case import CHINESE, judge, make

LINE = "This is a line of prose that has a good number of words and an end, number {}.\n"
GOOD = "".join(LINE.format(number) for number in range(20))
MENU = "".join(f"Item {number}\n" for number in range(20))


@pytest.mark.parametrize(
    ("text", "argv", "reason"),
    [
        (GOOD, [], None),
        (GOOD.replace(".", ""), [], "fineweb_unended_lines"),
        (GOOD.replace(".", ""), ["--fineweb-min-ended-lines", 0], None),
        (GOOD.replace(".", "।"), [], None),
        (GOOD + "\n \n\t\n" * 20, ["--fineweb-min-ended-lines", 1, "--fineweb-max-newlines", 1], None),
        (GOOD + MENU * 3, ["--fineweb-max-repeated-characters", 1], "fineweb_short_lines"),
        (GOOD + MENU * 3, ["--fineweb-max-repeated-characters", 1, "--fineweb-max-short-lines", 0.8], None),
        (GOOD + MENU, ["--fineweb-short-line", 100], "fineweb_short_lines"),
        (GOOD + GOOD[:240], [], "fineweb_repeated_lines"),
        (GOOD + GOOD[:160], [], None),
        (GOOD + GOOD[:160], ["--fineweb-max-repeated-characters", 0.01], "fineweb_repeated_lines"),
        (GOOD + "\n" * 200, [], "fineweb_newlines"),
        (GOOD + "\n" * 200, ["--fineweb-max-newlines", 1], None),
        (CHINESE.splitlines()[0], [], None),
    ],
)
def test_bounds(text, argv, reason):
    assert judge(fineweb, text, *argv).reason == reason


def test_numbers():
    found = judge(fineweb, "One line.\n\nOne line.\nno end\n")
    assert found.numbers == pytest.approx((2 / 3, 1, 9 / 24, 4 / 8))
    assert found.reason == "fineweb_short_lines" and found.detail == "share of short lines: 1, at most 0.67"


def test_against_the_papers_sentences():
    """By plain Python, on real text; in it all that ends a sentence is a period or one of its like."""
    ends, judged = tuple(".?!。"), make(fineweb)
    for text in [*texts.library_texts(), *(line * 3 for line in hard_texts.REAL.values()), GOOD, MENU]:
        lines = [line for line in text.split("\n") if line.strip()]
        repeated = sum(len(line) for number, line in enumerate(lines) if line in lines[:number])
        verdict = judged(Document("a:1", "a", {"text": text}))
        assert verdict.numbers[0] == sum(line.endswith(ends) for line in lines) / len(lines)
        assert verdict.numbers[1] == sum(len(line) <= 30 for line in lines) / len(lines)
        assert verdict.numbers[2] == repeated / len(text.replace("\n", ""))
        assert verdict.text is None
