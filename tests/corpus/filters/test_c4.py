"""--filters c4."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.corpus.analysis import IMPLEMENTATIONS, Analysis
from megatron_ext.corpus.filters import c4
from tests import texts
from tests.corpus import hard_texts
from tests.corpus.filters.case import judge, problems

needs_native = pytest.mark.skipif("native" not in IMPLEMENTATIONS, reason="the native module was not built here")
SENTENCES = "".join(f"  This is sentence number {number}.\n" for number in range(1, 6))
LINES = [
    ("A line without an end", ["--no-c4-terminal-punctuation"]),
    ("A line that breaks off...", ["--no-c4-terminal-punctuation"]),
    ("Two words.", ["--c4-min-words-per-line", 2]),
    ("One word is " + "long" * 251 + ".", ["--c4-max-word-length", 2000]),
    ("Please turn JavaScript on first.", ["--no-c4-javascript"]),
    ("This site USES cookies for you.", ["--no-c4-policy"]),
    ("See our Privacy Policy for that.", ["--no-c4-policy"]),
    ("Read the terms of use first!", ["--no-c4-policy"]),
    ("It ends with a colon:", ["--c4-marks", ":", "."]),
    ("他说这是一个好天气。", ["--c4-marks", "。", ".", "--c4-min-words-per-line", 1]),
]


@pytest.mark.parametrize("line", [line for line, _ in LINES])
def test_lines_are_taken_out(line):
    """Wherever they stand; the others stay as they are, indents and line ends included."""
    head, tail = SENTENCES[: len(SENTENCES) // 5 * 2], SENTENCES[len(SENTENCES) // 5 * 2 :]
    for text in (f"{line}\n{SENTENCES}", f"{head}{line}\r\n{tail}", f"{SENTENCES}{line}"):
        verdict = judge(c4, text)
        assert verdict.reason is None and verdict.text == SENTENCES
        assert verdict.numbers == (5, 5 / 6)


@pytest.mark.parametrize(("line", "argv"), LINES)
def test_each_flag_keeps_them(line, argv):
    assert judge(c4, SENTENCES + line, *argv).text is None


@pytest.mark.parametrize(
    ("text", "argv", "reason"),
    [
        (SENTENCES, [], None),
        (SENTENCES, ["--c4-min-sentences", 6], "c4_few_sentences"),
        ("A short page. It has three sentences. That is all.", [], "c4_few_sentences"),
        ("A short page. It has three sentences. That is all.", ["--c4-min-sentences", 3], None),
        (SENTENCES + "We say Lorem ipsum dolor here.", [], "c4_lorem_ipsum"),
        (SENTENCES + "We say Lorem ipsum dolor here.", ["--no-c4-lorem-ipsum"], None),
        (SENTENCES + "Then there is { in it.", [], "c4_curly_bracket"),
        (SENTENCES + "Then there is { in it.", ["--no-c4-curly-bracket"], None),
        (SENTENCES + "lorem ipsum in a line that is taken out", [], None),
        (SENTENCES + "if (x) {", [], None),
        ("", ["--c4-min-sentences", 0], None),
    ],
)
def test_pages_are_dropped(text, argv, reason):
    assert judge(c4, text, *argv).reason == reason


def test_detail():
    assert judge(c4, "One line of words.\nno\n").detail == "1 sentences in 1 of 2 lines, at least 5"
    assert judge(c4, SENTENCES + "We say lorem ipsum here.").detail == "in line 6"


def test_citation_marks_are_taken_out_before_a_line_is_judged():
    marked = SENTENCES.replace(" is", " is[edit] or[] was[23]", 1).replace("2.", "2.[citation needed]")
    verdict = judge(c4, marked)
    assert verdict.text == SENTENCES.replace(" is", " is or was", 1) and verdict.numbers == (5, 1)
    assert judge(c4, marked, "--no-c4-citations").reason == "c4_few_sentences"  # its second line ends with a bracket
    assert judge(c4, SENTENCES.replace("This", "[x] This [1")).text is None


settings_of_the_rule = st.tuples(
    st.integers(0, 5), st.sampled_from([3, 1000]), st.integers(0, 5), st.sampled_from(['.?!"', ".。", ""]), st.integers(0, 63)
)


@needs_native
@settings(max_examples=1500, deadline=None)
@given(hard_texts.texts, settings_of_the_rule)
def test_native_equals_the_twin(text, chosen):
    assert c4.clean(Analysis(text, "native"), *chosen) == c4.clean(Analysis(text, "python"), *chosen)


@needs_native
def test_native_equals_the_twin_on_real_text():
    for text in [*texts.library_texts(), *texts.HARD, *(line * 9 for line in hard_texts.REAL.values())]:
        for chosen in [(3, 1000, 5, '.?!"', 63), (1, 20, 0, ":.。", 0)]:
            assert c4.clean(Analysis(text, "native"), *chosen) == c4.clean(Analysis(text, "python"), *chosen)


@settings(max_examples=300, deadline=None)
@given(hard_texts.texts, settings_of_the_rule)
def test_only_whole_lines_are_taken_out(text, chosen):
    """Without the rule of citation marks, what is left is some of the lines, in their order."""
    reason, _, kept, _, left = c4.clean(Analysis(text), *chosen[:4], chosen[4] & ~1)
    if reason == 0 and left is not None:
        lines = iter(text.splitlines(keepends=True))
        assert left != text and all(any(line == other for other in lines) for line in left.splitlines(keepends=True))
        assert len(left.splitlines()) == kept


def test_marks_are_single_characters():
    assert problems(c4, "--c4-marks", "。", "!") == []
    for mark in ("...", ""):
        (said,) = problems(c4, "--c4-marks", ".", mark)
        assert f"--c4-marks {mark!r}: is not a single character" in said
