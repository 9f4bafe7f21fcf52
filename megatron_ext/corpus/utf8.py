"""Looks once over UTF-8 bytes: where the first invalid byte is, and what the text is made of.

`scan` answers for the bytes before the first invalid one, with the strictness of Python's own decoder (no surrogates, no
overlong forms, nothing above U+10FFFF). The readers name a bad byte by it; the counts tell a corpus's size and scripts.

Three implementations give the same answers: `avx2` and `portable` in C++ (`native/scan.cpp`) and `python` here, the twin that
serves where no compiler was at hand. Reason for own code: on the quickstart's English the twin reaches 24 MB/s, `portable`
1,300 and `avx2` 6,700; on its Chinese 65, 540 and 540 (`python -m megatron_ext.corpus.utf8 FILE` measures).
"""

import re
import string
from typing import NamedTuple

from megatron_ext.native import compiled as native
from megatron_ext.native import say_that_the_twins_serve

IMPLEMENTATIONS = (*(native.paths() if native else ()), "python")
"""What this machine can run, best first."""

_LETTERS, _DIGITS = string.ascii_letters.encode(), string.digits.encode()
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")


class Scan(NamedTuple):
    """What `scan` found in `text[:valid_up_to]`."""

    valid_up_to: int
    """Bytes before the first one that is not valid UTF-8; the length of the text where all of it is valid."""
    characters: int
    """Code points."""
    lines: int
    """Newlines, U+000A."""
    words: int
    """Runs of characters between whitespace, as `str.split()` has them."""
    latin: int
    """ASCII letters."""
    digits: int
    """ASCII digits."""
    han: int
    """Han ideographs: the CJK Unified and Compatibility blocks and planes 2 and 3."""


def scan(text, implementation="auto"):
    """Scans bytes (or any object with the buffer protocol) and returns a `Scan`.

    `implementation` is `auto` or one of `IMPLEMENTATIONS`; anything else is a ValueError.
    """
    if implementation == "auto":
        if native:
            return Scan._make(native.scan(text))
        say_that_the_twins_serve()
    elif implementation not in IMPLEMENTATIONS:
        raise ValueError(f"scan: implementation is {implementation!r}, and this machine has {', '.join(IMPLEMENTATIONS)}")
    elif implementation != "python":
        return Scan._make(native.scan(text, implementation))
    return _scan_in_python(text)


def _scan_in_python(text):
    """The twin: what `native.scan` does, by means of Python's own decoder, `split` and `re`."""
    valid = bytes(text)
    try:
        decoded = valid.decode("utf-8")
    except UnicodeDecodeError as error:
        valid = valid[: error.start]
        decoded = valid.decode("utf-8")
    return Scan(
        valid_up_to=len(valid),
        characters=len(decoded),
        lines=valid.count(b"\n"),
        words=len(decoded.split()),
        latin=len(valid) - len(valid.translate(None, _LETTERS)),
        digits=len(valid) - len(valid.translate(None, _DIGITS)),
        han=0 if decoded.isascii() else sum(map(len, _HAN.findall(decoded))),
    )


def _measure(path, seconds=1.0):
    """Prints MB/s of every implementation on a file."""
    import time
    from pathlib import Path

    text = Path(path).read_bytes()
    for implementation in IMPLEMENTATIONS:
        best, stop = float("inf"), time.perf_counter() + seconds
        while time.perf_counter() < stop:
            start = time.perf_counter()
            found = scan(text, implementation)
            best = min(best, time.perf_counter() - start)
        print(f"{implementation:>10}  {len(text) / best / 1e6:8,.0f} MB/s  {found}")


if __name__ == "__main__":
    import sys

    _measure(sys.argv[1])
