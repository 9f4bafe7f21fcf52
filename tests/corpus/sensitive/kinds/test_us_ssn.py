"""--scrub us_ssn, against python-stdnum."""

import random

import pytest
from stdnum.us import ssn

from tests.corpus.sensitive.case import drawn, found, make, replaced, shape


def test_as_python_stdnum_says():
    """Random numbers, a third of them in areas, groups and serials that are never given out."""
    draw, scrubber, valid = random.Random(1), make(kinds=["us_ssn"]), 0
    for _ in range(3000):
        area = draw.choice((draw.randrange(1000), draw.choice((0, 666, 900, 999))))
        text = f"{area:03d}-{draw.choice((0, draw.randrange(100))):02d}-{draw.choice((0, draw.randrange(10000))):04d}"
        expected = ssn.is_valid(text)
        valid += expected
        assert bool(scrubber.spans(f"({text})")) == expected, text
    assert 300 < valid < 2000
    for text in ("078-05-1120", "219-09-9999", "457-55-5462"):  # of advertisements
        assert found("us_ssn", text) == [] and not ssn.is_valid(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("SSN 123456780", "123456780"),
        ("his social security number: 123 45 6780", "123 45 6780"),
        ("社会安全号码123456780。", "123456780"),
        ("１２３－４５－６７８０", "１２３－４５－６７８０"),
        ("123‑45‑6780", "123‑45‑6780"),
    ],
)
def test_forms(text, value):
    assert found("us_ssn", text) == [value]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "123456780",
            "123 45 6780",
            "123-45-678",
            "123-45-67801",
            "1123-45-6780",
            "123-456-780",
            "x123-45-6780",
            "123-45-6780-1",
        ),
        *("+123-45-6780", "2.123-45-6780", "EIN 12-3456780", "SSN 1234567801"),
    ],
)
def test_near_misses(text):
    assert found("us_ssn", text) == []


def test_fakes_are_of_areas_never_given_out():
    for value in [*drawn("us_ssn", 50), "SSN 123 45 6780"]:
        made = replaced("us_ssn", value)
        assert shape(made) == shape(value) and made != value
        number = made.removeprefix("SSN ")
        assert number[0] == "9" and not ssn.is_valid(number)
        assert replaced("us_ssn", made) == made
