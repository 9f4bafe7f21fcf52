"""Asking the scrubber as the engine does: flags as they are typed, one text."""

from __future__ import annotations

import random
import re
from types import SimpleNamespace
from typing import Any

from hypothesis import strategies as st

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.corpus.sensitive import KINDS
from megatron_ext.corpus.sensitive.flags import SensitiveFlags
from megatron_ext.corpus.sensitive.scrub import Scrubber
from tests.corpus.sensitive.values import VALUES

ALL = tuple(KINDS)


def flags(*argv: Any) -> SimpleNamespace:
    return SimpleNamespace(**read([SensitiveFlags], list(map(str, argv)), "scrub", "").flat())


def make(*argv: Any, kinds=ALL, implementation: str = "auto") -> Scrubber:
    """The scrubber of these flags; ConfigurationError and UserError as a person would get them."""
    return Scrubber(flags("--scrub", *kinds, *argv), implementation)


def problems(*argv: Any) -> list[str]:
    """What is wrong with the flags, a sentence each."""
    try:
        flags(*argv)
    except ConfigurationError as error:
        return list(map(str, error.problems))
    return []


def found(kind: str, text: str, *argv: Any) -> list[str]:
    """What is found of one kind."""
    return [text[span.start : span.end] for span in make(*argv, kinds=[kind]).spans(text)]


def scrubbed(text: str, *argv: Any, kinds=ALL) -> str:
    """The text after scrubbing."""
    made = make(*argv, kinds=kinds)(text).text
    return text if made is None else made


def replaced(kind: str, value: str, *argv: Any) -> str:
    return scrubbed(value, "--scrub-mode", "replace", *argv, kinds=[kind])


def shape(value: str) -> str:
    """Its form: digits as 0, letters as a or A, everything else as it is."""
    return re.sub("[A-Z]", "A", re.sub("[a-z]", "a", re.sub("[0-9]", "0", value)))


def drawn(kind: str, count: int, seed: int = 7) -> list[str]:
    """Values of a kind, made up by `values.py`."""
    draw = random.Random(f"{kind} {seed}")
    made = [VALUES[kind](draw, draw.choice(("english", "chinese"))) for _ in range(count)]
    return ["".join(value) for value in made] if kind == "secret" else made


PIECES = [
    *("bob@mail.org", "+44 20 7946 0958", "13800138000", "415-555-2671", "8.8.4.4", "2a00:1450::1", "4111 1111 1111 1111", "62"),
    *(
        "371449635398431",
        "DE89370400440532013000",
        "11010519491231002X",
        "123-45-6780",
        "AKIAQ6MZ3YX2WV5U7TS4",
        "SSN ",
        "电话",
        "Tel ",
    ),
    *(
        "api_key = '0a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d'",
        "https://u:pa55-w0rd!@h.org/",
        "x",
        " ",
        "\n",
        ".",
        "-",
        ":",
        "@",
        "+",
        "(",
        ")",
    ),
    *(
        "中",
        "。",
        "＠",
        "１３８",
        "=",
        '"',
        "0",
        "12",
        "345",
        "6789",
        "-----BEGIN RSA PRIVATE KEY-----\n",
        "A" * 40,
        "é",
        "𠀀",
        "\ud800",
    ),
]
TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=16).map("".join)
"""Texts in which values come out whole, nearly whole or side by side."""
