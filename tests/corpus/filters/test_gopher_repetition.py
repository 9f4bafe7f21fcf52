"""--filters gopher_repetition."""

import random

import pytest

from megatron_ext.corpus.documents import Document
from megatron_ext.corpus.filters import gopher_repetition
from tests import texts
from tests.corpus.filters.case import CHINESE, judge, make

WORDS = [word for word in texts.library_texts()[0].split() if word.isalpha()]


def prose(words: int, seed: int = 0) -> str:
    """So many words of which no two stand side by side twice."""
    return " ".join(f"{a}{n}" for n, a in enumerate(random.Random(seed).choices(WORDS, k=words)))


LINES = [prose(8, seed) for seed in range(10)]
TOPS = [word for n in (2, 3, 4) for word in (f"--gopher-repetition-max-top-{n}-gram", 1)]
PHRASE = "one phrase of ten words that comes again and again "


@pytest.mark.parametrize(
    ("text", "argv", "reason"),
    [
        ("\n".join(LINES), [], None),
        (prose(200), [], None),
        ("\n".join([*LINES[:5], "short", "short", "short", "short"]), [], "gopher_repeated_lines"),
        ("\n".join([*LINES[:5], "short", "short", "short", "short"]), ["--gopher-repetition-max-lines", 0.4], None),
        ("\n\n".join([*LINES[:5], "a\nb", "a\nb", "a\nb", "a\nb"]), [], "gopher_repeated_paragraphs"),
        ("\n\n".join([*LINES[:9], "a b", "a b", "a b", "a b", "a b"]), ["--gopher-repetition-max-paragraphs", 0.4], None),
        ("\n\n".join([*LINES[:3], LINES[0]]), [], "gopher_repeated_paragraph_characters"),
        (
            "\n\n".join([*LINES[:3], LINES[0]]),
            ["--gopher-repetition-max-paragraph-characters", 0.3],
            "gopher_repeated_line_characters",
        ),
        ("\n".join([*LINES[:3], LINES[0]]), [], "gopher_repeated_line_characters"),
        ("\n".join([*LINES[:3], LINES[0]]), ["--gopher-repetition-max-line-characters", 0.3, *TOPS], "gopher_repeated_5_grams"),
        (prose(40) + " so it" * 30, [], "gopher_top_2_gram"),
        (prose(40) + "".join(f" so it {n}" for n in range(30)), ["--gopher-repetition-max-top-2-gram", 1], None),
        (
            prose(60) + "".join(f" as it is {n}" for n in range(18)),
            ["--gopher-repetition-max-top-2-gram", 1],
            "gopher_top_3_gram",
        ),
        (
            prose(60) + "".join(f" as it is {n}" for n in range(9)),
            ["--gopher-repetition-max-top-3-gram", 0.01],
            "gopher_top_3_gram",
        ),
        (
            prose(60) + "".join(f" as it is so {n}" for n in range(9)),
            ["--gopher-repetition-max-top-4-gram", 0.01],
            "gopher_top_4_gram",
        ),
        *(
            (
                f"{prose(80)} {PHRASE}{prose(80, 1)} {PHRASE}",
                [f"--gopher-repetition-max-{n}-grams", 0.01],
                f"gopher_repeated_{n}_grams",
            )
            for n in range(5, 11)
        ),
        (f"{prose(80)} {PHRASE}{prose(80, 1)} {PHRASE}", [], None),
        (f"{prose(10)} {PHRASE}{PHRASE}", TOPS, "gopher_repeated_5_grams"),
        (CHINESE, [], "gopher_repeated_lines"),
        (CHINESE.splitlines()[0], [], None),
    ],
)
def test_bounds(text, argv, reason):
    assert judge(gopher_repetition, text, *argv).reason == reason


def test_what_is_measured():
    text = "one two\n\none two\n\nthree four five\n"
    found = judge(gopher_repetition, text)
    assert found.reason == "gopher_repeated_paragraphs" and found.detail == "share of repeated paragraphs: 0.3333, at most 0.3"
    assert found.numbers[:5] == pytest.approx((1 / 3, 7 / 34, 1 / 3, 7 / 34, 14 / 34))
    assert len(found.numbers) == len(gopher_repetition.NUMBERS) == 13


def test_code_is_kept_and_copies_of_it_are_not():
    judged = make(gopher_repetition)
    pieces = texts.library_texts()
    assert sum(judged(Document("a:1", "a", {"text": piece})).reason is None for piece in pieces) > len(pieces) / 2
    assert all(judged(Document("a:1", "a", {"text": f"{piece}\n{piece}"})).reason for piece in pieces)
