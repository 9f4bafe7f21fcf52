"""--scrub chinese_id, against python-stdnum's resident identity numbers."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import ric

from megatron_ext.corpus.sensitive.kinds import chinese_id
from tests.corpus.sensitive.case import drawn, found, replaced, shape

NUMBER = "11010519491231002X"


def sound(value: str) -> bool:
    """By the standard: Σ a_i · 2^(18-i) ≡ 1 (mod 11), a day that was, and a province."""
    try:
        born = datetime.date(int(value[6:10]), int(value[10:12]), int(value[12:14]))
    except ValueError:
        return False
    total = sum((10 if c == "X" else int(c)) * pow(2, 17 - i, 11) for i, c in enumerate(value))
    return total % 11 == 1 and value[:2] in chinese_id._PROVINCES and datetime.date(1900, 1, 1) <= born <= datetime.date.today()


@pytest.mark.parametrize("value", [NUMBER, NUMBER.lower(), *drawn("chinese_id", 40)])
def test_found(value):
    assert sound(value.upper())
    assert found("chinese_id", f"身份证{value}，") == found("chinese_id", f"ID: {value}.") == [value]


@given(st.sampled_from(drawn("chinese_id", 20)), st.integers(0, 17), st.sampled_from("0123456789X"))
def test_one_other_character(value, place, other):
    """What python-stdnum calls valid is found (it knows counties, too), and what is found fulfils the standard."""
    text = value.upper()[:place] + other + value.upper()[place + 1 :]
    expected = "X" not in text[:17] and sound(text)
    assert found("chinese_id", text) == ([text] if expected else [])
    assert expected or not ric.is_valid(text)


@pytest.mark.parametrize("text", ["110105 19491231 002X", "110105-19491231-002X", "１１０１０５１９４９１２３１００２Ｘ"])
def test_forms(text):
    assert found("chinese_id", text) == [text]


@pytest.mark.parametrize(
    "text",
    [
        "110105194912310021",
        "110105194902310026",
        "990105194912310026",
        "110105309912310025",
        NUMBER[:-1],
        "1" + NUMBER,
        NUMBER + "1",
        "a" + NUMBER,
        "110105-19491231 002X",
        f"{NUMBER}.5",
    ],
)
def test_near_misses(text):
    assert found("chinese_id", text) == []


def test_fakes_keep_form_and_are_of_no_province():
    for value in [NUMBER, "110105 19491231 002X", *drawn("chinese_id", 40)]:
        made = replaced("chinese_id", value)
        assert shape(made).upper().replace("A", "0") == shape(value).upper().replace("A", "0")
        plain = made.replace(" ", "").upper()
        assert plain[:6] == "990000" and not ric.is_valid(plain)
        assert ric.calc_check_digit(plain) == plain[-1] and ric.get_birth_date(plain) <= datetime.date.today()
        assert replaced("chinese_id", made) == made
