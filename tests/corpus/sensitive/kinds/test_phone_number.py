"""--scrub phone_number, against the package phonenumbers (Google's libphonenumber)."""

import random

import phonenumbers
import pytest
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from megatron_ext.corpus.sensitive.kinds import phone_number
from tests.corpus.sensitive.case import drawn, found, make, replaced, shape

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)


@pytest.mark.parametrize("style", [PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL])
def test_every_regions_examples_are_found(style):
    scrubber = make(kinds=["phone_number"])
    for region in REGIONS:
        for kind in (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE, PhoneNumberType.TOLL_FREE):
            example = phonenumbers.example_number_for_type(region, kind)
            if example is None:
                continue
            value = phonenumbers.format_number(example, style)
            text = f"Call {value}, please."
            assert [text[s.start : s.end] for s in scrubber.spans(text)] == [value], (region, value)


def test_international_numbers_are_those_that_phonenumbers_calls_valid():
    """Random digits behind a country's code: found exactly where the package says so, or says so of what follows a 0."""
    draw, scrubber, valid = random.Random(2), make(kinds=["phone_number"]), 0
    for _ in range(3000):
        code = draw.choice(list(phonenumbers.COUNTRY_CODE_TO_REGION_CODE))
        value = f"+{code}{draw.randrange(10**7, 10**10)}"
        parsed = phonenumbers.parse(value)
        whole = value == f"+{code}{phonenumbers.national_significant_number(parsed)}"  # nothing taken for a prefix
        expected = whole and phonenumbers.is_valid_number(parsed)
        spans = scrubber.spans(f"fax {value} x")
        valid += expected
        if expected:
            assert [(s.start, s.end) for s in spans] == [(4, 4 + len(value))], value
        elif spans:
            national = value[len(f"+{code}") :]
            zero = national[0] == "0" and phonenumbers.is_valid_number(phonenumbers.parse(f"+{code}{national[1:]}"))
            plan = any(p.fullmatch(national) for p in phone_number._plans(code))
            assert zero or plan, value
    assert valid > 100


@pytest.mark.parametrize("value", drawn("phone_number", 60))
def test_made_up_numbers_are_found(value):
    assert found("phone_number", f"联系电话：{value}。") == found("phone_number", f"phone {value}, or write") == [value]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("(415) 555-2671 x12", "(415) 555-2671"),
        ("+44 (0)20 7946 0958", "+44 (0)20 7946 0958"),
        ("0044 20 7946 0958", "0044 20 7946 0958"),
        ("(020) 7946 0958", "(020) 7946 0958"),
        ("打13800138000找我", "13800138000"),
        ("１３８００１３８０００，王伟", "１３８００１３８０００"),
        ("138 0013 8000", "138 0013 8000"),
        ("010-65529988", "010-65529988"),
        ("400-820-8820", "400-820-8820"),
        ("mobile: 13800138000", "13800138000"),
        ("07400 123456", "07400 123456"),
        ("Phone: +1.8005551212", "+1.8005551212"),
    ],
)
def test_forms(text, value):
    assert found("phone_number", text) == [value]


@pytest.mark.parametrize(
    "text",
    [
        *("2023-01-02", "12:34:56", "192.168.10.10", "ISBN 0-306-40615-2", "123-45-6789", "555-2671", "415-555-267", "1415555"),
        *("4155552671", "13800138000 ns", "15113671875*p**6", "total 14511243264", "1.319 590 9068 e-15", "-0345678.5432"),
        *(
            "+35236450.6",
            "016.016.016.016",
            "56 (2012) 755-767.",
            "order 00 12345678",
            "+999 12345678",
            "+1 1234567890",
            "id=13800138000",
        ),
        *(
            "12800138000",
            "手机1380013800",
            "138001380001",
            "电话10086",
            "x + 4155552671*y",
            "2010 2011 2012 2013",
            "-.009-5.437.782-3",
        ),
    ],
)
def test_near_misses(text):
    assert found("phone_number", text) == []


def test_digits_in_one_run_need_a_word_or_chinese_text():
    assert found("phone_number", "call 4155552671") == ["4155552671"]
    assert found("phone_number", "value 4155552671") == []
    assert found("phone_number", "我13800138000") == ["13800138000"]
    assert found("phone_number", "me 13800138000") == []


def test_regions():
    german = "Büro 030 901820, geöffnet"
    assert found("phone_number", german) == []
    assert found("phone_number", german, "--scrub-phone-regions", "DE") == ["030 901820"]
    assert found("phone_number", "(415) 555-2671", "--scrub-phone-regions", "DE") == []
    assert found("phone_number", "+1 415 555 2671", "--scrub-phone-regions", "DE") == ["+1 415 555 2671"]


@pytest.mark.parametrize("value", [*drawn("phone_number", 80), "0044 20 7123 4567"])
def test_fakes_keep_the_form_and_belong_to_nobody(value):
    made = replaced("phone_number", f"Tel. {value}")[5:]
    assert shape(made) == shape(value)
    assert replaced("phone_number", f"Tel. {made}")[5:] == made
    digits = "".join(filter(str.isdigit, made))
    if value.startswith("+1") or ("555" in made and len(digits) in (10, 11)):
        assert digits[-7:-2] == "55501"
    elif value.startswith("+44"):
        assert digits.removeprefix("44")[:7] in ("7700900", "1632960", "2079460")  # Ofcom's, for drama
    elif value.startswith("+"):
        assert not phonenumbers.is_valid_number(phonenumbers.parse(made))
