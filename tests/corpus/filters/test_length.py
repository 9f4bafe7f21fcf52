"""--filters length."""

import pytest

from megatron_ext.corpus.filters import length
from tests.corpus.filters.case import CHINESE, judge, problems


@pytest.mark.parametrize(
    ("text", "argv", "reason"),
    [
        ("x" * 199, [], "length_short"),
        ("x" * 200, [], None),
        ("中" * 199, [], "length_short"),
        ("中" * 200, [], None),
        ("a b c", ["--length-min-characters", 5], None),
        ("a b c", ["--length-min-characters", 6], "length_short"),
        ("a b c", ["--length-min-characters", 0, "--length-max-characters", 4], "length_long"),
        ("a b c", ["--length-min-characters", 0, "--length-min-words", 4], "length_short"),
        ("a b c", ["--length-min-characters", 0, "--length-max-words", 2], "length_long"),
        ("三国演义", ["--length-min-characters", 0, "--length-min-words", 4], None),
        ("三国演义", ["--length-min-characters", 0, "--length-max-words", 3], "length_long"),
        ("三国演义", ["--length-min-characters", 0, "--length-min-bytes", 12], None),
        ("三国演义", ["--length-min-characters", 0, "--length-min-bytes", 13], "length_short"),
        ("三国演义", ["--length-min-characters", 0, "--length-max-bytes", 11], "length_long"),
        ("", ["--length-min-characters", 0], None),
    ],
)
def test_bounds(text, argv, reason):
    assert judge(length, text, *argv).reason == reason


def test_what_is_measured():
    assert tuple(judge(length, CHINESE).numbers) == (len(CHINESE), sum("一" <= c <= "鿿" for c in CHINESE), len(CHINESE.encode()))
    assert judge(length, "one two").detail == "7 characters, at least 200"


def test_bounds_that_leave_nothing_are_named():
    (said,) = problems(length, "--length-min-words", 10, "--length-max-words", 9)
    assert said.startswith("--length-max-words 9: is below --length-min-words 10;")
    assert "must be at least 0" in problems(length, "--length-min-bytes", -1)[0]
