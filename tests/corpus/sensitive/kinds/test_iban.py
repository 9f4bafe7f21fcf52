"""--scrub iban, against python-stdnum and the examples of the registry."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import iban

from tests.corpus.sensitive.case import drawn, found, replaced, shape

REGISTRY = """AL47212110090000000235698741 AT611904300234573201 BE68539007547034 BR9700360305000010009795493P1
CH9300762011623852957 DE89370400440532013000 DK5000400440116243 ES9121000418450200051332 FI2112345600000785
FR1420041010050500013M02606 GB29NWBK60161331926819 GR1601101250000000012300695 IE29AIBK93115212345678
IT60X0542811101000000123456 LU280019400644750000 MT84MALT011000012345MTLCAST001S NL91ABNA0417164300 NO9386011117947
PL61109010140000071219812874 PT50000201231234567890154 SA0380000000608010167519 SE4550000000058398257466
TR330006100519786457841326 AE070331234567890123456""".split()
"""Examples of ISO 13616's registry."""


@pytest.mark.parametrize("value", REGISTRY)
def test_the_registrys_examples_in_both_forms(value):
    spaced = " ".join(value[i : i + 4] for i in range(0, len(value), 4))
    for text in (value, spaced):
        assert found("iban", f"pay {text}.") == found("iban", f"账号{text}，") == [text]
    assert found("iban", f"pay {spaced} IBAN TODAY") == [spaced]


@given(st.sampled_from(REGISTRY), st.integers(0, 33), st.sampled_from(string.digits + string.ascii_uppercase))
def test_one_other_character_is_what_python_stdnum_says(value, place, other):
    place %= len(value)
    text = value[:place] + other + value[place + 1 :]
    assert found("iban", text) == ([text] if text[2:4].isdigit() and iban.is_valid(text, check_country=False) else [])


@pytest.mark.parametrize(
    "text",
    [
        "DE88370400440532013000",
        "DE8937040044053201300",
        "DE893704004405320130000",
        "XX89370400440532013000",
        "de89370400440532013000",
        "xDE89370400440532013000",
        "DE89370400440532013000x",
        "DE89 3704 0044 0532 0130",
        "DE89-3704-0044-0532-0130-00",
        "GB82 is a road",
    ],
)
def test_near_misses(text):
    assert found("iban", text) == []


def test_fakes_keep_country_and_form_and_name_no_bank():
    for value in [*REGISTRY, *drawn("iban", 30)]:
        made = replaced("iban", value)
        plain = made.replace(" ", "")
        assert made[:2] == value[:2] and [c == " " for c in made] == [c == " " for c in value]
        assert shape(made[:2] + made[4:]) == shape(value[:2] + value[4:])
        assert set(plain[4:8]) <= set("0X") and iban.is_valid(plain, check_country=False)
        assert found("iban", made) == [made] and replaced("iban", made) == made
