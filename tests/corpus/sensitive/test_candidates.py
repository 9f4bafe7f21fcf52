"""corpus/sensitive/candidates.py: the native pass and its Python twin propose the same spans, whatever the text."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.corpus.sensitive import KINDS
from megatron_ext.corpus.sensitive.candidates import FORMS, IMPLEMENTATIONS, WORDS, Candidates
from megatron_ext.corpus.sensitive.folding import FOLD, fold

needs_native = pytest.mark.skipif("native" not in IMPLEMENTATIONS, reason="the native module was not built here")
NATIVE, TWIN = (Candidates(FORMS, "auto"), Candidates(FORMS, "python"))

# What the forms are made of, so that many of them come out whole, nearly whole, or side by side.
PIECES = [
    *(
        "0",
        "1",
        "2",
        "41",
        "86",
        "400",
        "415",
        "555",
        "0123",
        "2671",
        "4111",
        "1111",
        "138",
        "0013",
        "8000",
        "6222",
        "020",
        "7946",
    ),
    *(
        "13800138000",
        "4111111111111111",
        "371449635398431",
        "3714",
        "496353",
        "98431",
        "11010519491231002",
        "110105",
        "19491231",
        "002X",
    ),
    *(
        "GB82",
        "WEST",
        "DE89370400440532013000",
        "123-45-6789",
        "123 45 6789",
        "8.8.8.8",
        "256",
        "255",
        "2001:db8::1",
        "::",
        "fe80",
        "face",
    ),
    *(
        "@",
        ".",
        "-",
        " ",
        "  ",
        "+",
        "(",
        ")",
        "/",
        ":",
        "=",
        "==",
        ":=",
        "=>",
        '"',
        "'",
        "]",
        "x",
        "X",
        "_",
        "\n",
        "\t",
        ",",
        "%",
        "$",
    ),
    *(
        "bob",
        "gmail.com",
        "josé",
        "例子",
        "。",
        "：",
        "（",
        "）",
        "＠",
        "１３８",
        "．",
        "－",
        "\u00a0",
        "\u2011",
        "\u3000",
        "𠀀",
        "é",
        "K",
        "ſ",
    ),
    *("bob@gmail.com", "11010519491231002X", "110105 19491231 002X", "+44 (0)20 7946 0958", "(010) 65529988"),
    *("https://", "user:", "s3cret", "-----BEGIN ", "RSA PRIVATE KEY-----", "abcdefghijklmnopqrst"),
    *(word for words in WORDS for word in words),
]
texts = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=30).map("".join)


def test_each_kind_has_a_form():
    assert sorted(FORMS) == list(KINDS)


@needs_native
@settings(max_examples=1000, deadline=None)
@given(texts)
def test_native_equals_the_twin(text):
    assert NATIVE(text) == TWIN(text)


@needs_native
@pytest.mark.parametrize("width", ["", "中", "𠀀"])
def test_native_equals_the_twin_on_long_texts(width):
    """Seeded mixtures over what one doc holds, in each of the three widths that a str has in memory."""
    draw = random.Random(1)
    for _ in range(100):
        text = width + "".join(draw.choice(PIECES) for _ in range(draw.randrange(400)))
        if width == "":
            text = text.encode("latin-1", "ignore").decode("latin-1")
        assert NATIVE(text) == TWIN(text)


@pytest.mark.parametrize("kind", FORMS)
def test_only_what_is_asked_for(kind):
    draw = random.Random(2)
    text = " ".join(draw.choice(PIECES) for _ in range(5000))
    everything = [found for found in NATIVE(text) if found[0] == FORMS.index(kind)]
    assert Candidates([kind])(text) == everything
    assert everything


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_long_text_takes_the_same_path(implementation):
    """Above 64 Ki characters the native pass lets other threads run."""
    text = "x" * 70_000 + " bob@gmail.com"
    assert Candidates(FORMS, implementation)(text) == [(0, 70_001, 70_014)]


def test_folding_keeps_length():
    everything = "".join(map(chr, FOLD))
    assert len(fold(everything)) == len(everything)
    assert fold("１３８＠（Ａ－ｂ）") == "138@(A-b)"
