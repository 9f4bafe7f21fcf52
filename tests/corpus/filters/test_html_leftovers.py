"""--filters html_leftovers."""

import pytest

from megatron_ext.corpus.filters import html_leftovers
from tests import texts
from tests.corpus.filters.case import CHINESE, judge, problems

PROSE = "An ordinary sentence about the history of the town and its river. " * 20
TAG = '<div class="menu">'


@pytest.mark.parametrize(
    ("text", "argv", "reason"),
    [
        (PROSE, [], None),
        (PROSE + TAG, [], None),
        (PROSE + TAG * 5, [], "html_leftovers_share"),
        (PROSE + TAG * 5, ["--html-leftovers-max-share", 0.1], None),
        (PROSE * 20 + "&nbsp;" * 101, [], "html_leftovers_count"),
        (PROSE * 20 + "&nbsp;" * 101, ["--html-leftovers-max-count", 101], None),
        (PROSE * 20 + "\nPrivacy Policy\n" * 6, [], "html_leftovers_lines"),
        (PROSE * 20 + "\nPrivacy Policy\n" * 6, ["--html-leftovers-max-lines", 6], None),
        (PROSE * 20 + "\n请启用 JavaScript\n版权所有" * 3, [], "html_leftovers_lines"),
        (PROSE + "Lorem Ipsum dolor sit amet", [], "lorem_ipsum"),
        (PROSE + "Lorem Ipsum dolor sit amet", ["--no-html-leftovers-lorem-ipsum"], None),
        (CHINESE, [], None),
        ("", [], None),
    ],
)
def test_bounds(text, argv, reason):
    assert judge(html_leftovers, text, *argv).reason == reason


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("<b>x</b> <br/> <!-- a\nb --> <!DOCTYPE html> <A HREF='x'>", 6),
        ("&amp; &#8217; &#x2019; &NBSP;", 4),
        ("List<String> a < b > c, <stdio.h>, R&D; AT&T; <unknown> if (x<i && y>j)", 0),
        ("<" * 3000 + "a" + " <a " * 3000, 0),
    ],
)
def test_what_a_tag_is(text, count):
    assert judge(html_leftovers, text).numbers[1] == count


def test_a_long_line_about_cookies_is_text():
    line = "A cookie policy is what a site says about the data that it keeps on its visitors' machines, " * 3
    assert judge(html_leftovers, "\n".join([line] * 20)).numbers[2] == 0
    assert judge(html_leftovers, "\n".join([line[:90]] * 4)).numbers[2] == 4


def test_real_pages(tmp_path):
    """Python's library holds no page's frame, but for the modules that write HTML; each page that pydoc makes is one."""
    import pydoc

    verdicts = [judge(html_leftovers, text).reason for text in texts.library_texts()]
    assert verdicts.count(None) >= 38
    assert judge(html_leftovers, pydoc.HTMLDoc().document(pydoc)).reason == "html_leftovers_share"


def test_bad_bounds():
    assert "must be at most 1" in problems(html_leftovers, "--html-leftovers-max-share", 1.5)[0]
    assert "must be at least 0" in problems(html_leftovers, "--html-leftovers-max-count", -1)[0]
