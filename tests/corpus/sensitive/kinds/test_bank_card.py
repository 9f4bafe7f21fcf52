"""--scrub bank_card, against python-stdnum's Luhn."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn

from megatron_ext.corpus.sensitive.kinds import bank_card
from tests.corpus.sensitive.case import drawn, found, make, replaced, shape

NUMBER = "4929461263904520"


@given(st.text("0123456789", min_size=1, max_size=25))
def test_luhn_is_python_stdnums(digits):
    assert bank_card.luhn(digits) == luhn.checksum(digits)


@pytest.mark.parametrize("value", drawn("bank_card", 40) + ["5105105105105100", "30569309025904", "2200 0000 1234 5678"])
def test_found(value):
    assert found("bank_card", f"card {value}.") == [value]
    assert found("bank_card", f"卡号{value}，") == [value]


@pytest.mark.parametrize(
    "text", ["４９２９４６１２６３９０４５２０", "4929\u00a04612\u00a06390\u00a04520", "4929‑4612‑6390‑4520"]
)
def test_typographic_forms(text):
    assert found("bank_card", text) == [text]


@pytest.mark.parametrize(
    "text",
    [
        NUMBER[:-1] + "6",
        NUMBER + "0",
        "1" + NUMBER,
        "x" + NUMBER,
        NUMBER + "_",
        f"0.{NUMBER}",
        f"{NUMBER}.5",
        f"{NUMBER}*x",
        f"2 * {NUMBER}",
        "4929 4612-6390 4520",
        "49 29461263904520",
        "1234 4929 4612 6390 4520 1234",
        "0000000000000000",
        "4444444444444444",
        "4000000000000002",
        "7929461263904523",
        "9780306406157",
    ],
)
def test_near_misses(text):
    assert found("bank_card", text) == []


def test_any_other_digit_is_no_card():
    """Luhn's digit finds every single mistake."""
    for place in range(16):
        for digit in "0123456789":
            text = NUMBER[:place] + digit + NUMBER[place + 1 :]
            assert found("bank_card", text) == ([text] if text == NUMBER else [])


def test_random_digits_are_a_card_as_seldom_as_prefixes_and_luhn_say():
    """Sixteen random digits: about one in twenty-five, by the share of the prefixes and one in ten of Luhn's."""
    draw, scrubber = random.Random(3), make(kinds=["bank_card"])
    hits = sum(bool(scrubber.spans(f"{draw.randrange(10**15, 10**16)}")) for _ in range(5000))
    assert 100 < hits < 260


def test_fakes_keep_form_and_network_and_are_test_numbers():
    for value in drawn("bank_card", 60):
        made = replaced("bank_card", value)
        assert shape(made) == shape(value) and made != value
        digits = "".join(filter(str.isdigit, made))
        assert luhn.is_valid(digits)
        assert bank_card._network(digits) == bank_card._network("".join(filter(str.isdigit, value)))
        assert digits.startswith(tuple(prefix for *_, prefix in bank_card._NETWORKS.values()))
        assert replaced("bank_card", made) == made
