"""Full-width and typographic characters as what they stand for: １３８ is 138, ＠ is @. Length is kept, so offsets are too.

The twin of `fold` in native/candidates.cpp.
"""

from __future__ import annotations

import re

_PLAIN = [*map(chr, (*range(0x30, 0x3A), *range(0x41, 0x5B), *range(0x61, 0x7B))), *"()+-.:=@_"]
FOLD = {
    **{ord(c) + 0xFEE0: c for c in _PLAIN},
    **dict.fromkeys((0xA0, 0x2009, 0x202F, 0x3000), " "),
    **dict.fromkeys(range(0x2010, 0x2014), "-"),
}
_NOT_DIGITS = re.compile("[^0-9]")


def fold(text: str) -> str:
    return text if text.isascii() else text.translate(FOLD)


def digits_of(text: str) -> str:
    """Its digits, full-width ones too."""
    return _NOT_DIGITS.sub("", fold(text))


def pour(digits: str, form: str) -> str:
    """`form` with its digits (and a letter X that stands for one) replaced, one by one; the rest of it stays."""
    rest = iter(digits)
    return "".join(next(rest) if fold(c) in "0123456789" else c for c in form)
