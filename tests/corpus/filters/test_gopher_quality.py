"""--filters gopher_quality."""

import numpy
import pytest

from megatron_ext.corpus.filters import gopher_quality
from tests import texts
from tests.corpus import hard_texts
from tests.corpus.filters.case import CHINESE, judge, make, problems

PROSE = "It is a truth that the rules of prose have to be held, and that they do what they can with words.\n"
GOOD = PROSE * 4
SHORT = "a b c to be of it is as we "


@pytest.mark.parametrize(
    ("text", "argv", "reason"),
    [
        (GOOD, [], None),
        (PROSE, [], "gopher_few_words"),
        (PROSE, ["--gopher-quality-min-words", 22], None),
        (PROSE, ["--gopher-quality-min-words", 23], "gopher_few_words"),
        (GOOD, ["--gopher-quality-max-words", 88], None),
        (GOOD, ["--gopher-quality-max-words", 87], "gopher_many_words"),
        (SHORT * 9, [], "gopher_short_words"),
        (SHORT * 9, ["--gopher-quality-min-mean-word-length", 1], None),
        ("representation of administration to " * 25, [], None),
        ("representation administration to of " * 25, ["--gopher-quality-max-mean-word-length", 7], "gopher_long_words"),
        ("incomprehensibility " * 60, [], "gopher_long_words"),
        (GOOD + "# " * 9, [], None),
        (GOOD + "#" * 11, [], "gopher_hashes"),
        (GOOD + "#" * 11, ["--gopher-quality-max-hashes", 0.2], None),
        (GOOD + "well... " * 14, [], "gopher_ellipses"),
        (GOOD + "well… " * 14, ["--gopher-quality-max-ellipses", 0.2], None),
        ("".join(f"- {PROSE}" for _ in range(4)), [], "gopher_bullets"),
        ("".join(f"  • {PROSE}" for _ in range(4)), [], "gopher_bullets"),
        ("".join(f"- {PROSE}" for _ in range(4)), ["--gopher-quality-max-bullet-lines", 1], None),
        (PROSE * 4 + (PROSE[:-2] + "...\n") * 2, [], "gopher_cut_off_lines"),
        (PROSE * 4 + (PROSE[:-2] + "… \n") * 2, ["--gopher-quality-max-ellipsis-lines", 0.4], None),
        (GOOD + "0 = 0 + " * 6, [], "gopher_not_alphabetic"),
        (GOOD + "0 = 0 + " * 6, ["--gopher-quality-min-alphabetic", 0.7], None),
        ("Words without any such help stay words " * 9, [], "gopher_stop_words"),
        ("Words without any such help stay words " * 9, ["--gopher-quality-min-stop-words", 0], None),
        ("Words without any such help stay words " * 9, ["--gopher-quality-stop-words", "any", "such"], None),
        ("THE words OF this page stand IN capitals AND count not, The end Of it " * 5, [], "gopher_stop_words"),
        (CHINESE, [], "gopher_short_words"),
        (
            CHINESE,
            [
                "--gopher-quality-min-mean-word-length",
                1,
                "--gopher-quality-min-alphabetic",
                0.7,
                "--gopher-quality-stop-words",
                "之",
                "于",
            ],
            None,
        ),
    ],
)
def test_bounds(text, argv, reason):
    assert judge(gopher_quality, text, *argv).reason == reason


def test_detail_and_numbers():
    found = judge(gopher_quality, PROSE)
    assert found.detail == "words: 22, at least 50"
    assert found.numbers == pytest.approx((22, 74 / 22, 0, 0, 0, 0, 22 / 24, 8))
    nothing = judge(gopher_quality, "... 。\n", "--gopher-quality-min-words", 0)
    assert nothing.numbers[0] == 0 and numpy.isnan(nothing.numbers[1])


def oracle(text: str) -> str | None:
    """The paper's sentences, by plain Python; words are the splitter's, which tests/corpus/test_words.py holds."""
    from megatron_ext.corpus.analysis import Analysis

    found = Analysis(text, "python").words()
    plain = [word for word in found if any(map(str.isalnum, word))]
    lines = text.splitlines()
    if not 50 <= len(plain) <= 100_000:
        return "gopher_few_words" if len(plain) < 50 else "gopher_many_words"
    mean = sum(map(len, plain)) / len(plain)
    if not 3 <= mean <= 10:
        return "gopher_short_words" if mean < 3 else "gopher_long_words"
    if text.count("#") > 0.1 * len(found):
        return "gopher_hashes"
    if text.count("...") + text.count("…") > 0.1 * len(found):
        return "gopher_ellipses"
    if sum(line.strip()[:1] in tuple("•-") for line in lines) > 0.9 * len(lines):
        return "gopher_bullets"
    if sum(line.rstrip().endswith(("...", "…")) for line in lines) > 0.3 * len(lines):
        return "gopher_cut_off_lines"
    if sum(any(map(str.isalpha, word)) for word in found) < 0.8 * len(found):
        return "gopher_not_alphabetic"
    return "gopher_stop_words" if len({*found} & {*gopher_quality.STOP_WORDS}) < 2 else None


def test_against_the_papers_sentences():
    judged = make(gopher_quality)
    from megatron_ext.corpus.documents import Document

    reasons = set()
    for text in [*texts.library_texts(), *(line * 30 for line in hard_texts.REAL.values()), GOOD, SHORT * 9, PROSE]:
        verdict = judged(Document("a:1", "a", {"text": text}))
        assert verdict.reason == oracle(text), text[:80]
        assert verdict.text is None
        reasons.add(verdict.reason)
    assert len(reasons) >= 4


def test_bounds_that_nothing_can_meet_are_refused():
    assert problems(gopher_quality) == []
    (said,) = problems(gopher_quality, "--gopher-quality-max-words", 49)
    assert "--gopher-quality-max-words 49: is below --gopher-quality-min-words 50" in said
    (said,) = problems(gopher_quality, "--gopher-quality-min-mean-word-length", 11)
    assert "--gopher-quality-max-mean-word-length 10.0: is below" in said
    (said,) = problems(gopher_quality, "--gopher-quality-stop-words", "der", "die", "--gopher-quality-min-stop-words", 3)
    assert "is more than the 2 of --gopher-quality-stop-words" in said
    (said,) = problems(gopher_quality, "--gopher-quality-min-alphabetic", 80)  # per cent
    assert "must be at most 1" in said
