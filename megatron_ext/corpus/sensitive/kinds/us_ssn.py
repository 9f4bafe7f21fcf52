"""Social security numbers of the United States: 3-2-4 digits in the ranges that are given out. `--scrub us_ssn`.

There is no check digit. Never given out: areas 000, 666 and 900 to 999, group 00, serial 0000, and the numbers that
advertisements made known. 123-45-6789 is found by form; with spaces or as nine digits only behind a word that says what it is
(SSN, social security). A fake has an area from 900, which is nobody's; it is not found again.
"""

from __future__ import annotations

import re

from megatron_ext.corpus.sensitive.folding import digits_of, fold, pour

TITLE = "US social security numbers"
CERTAINTY = 3

CUES = ("ssn", "social sec", "s.s.n", "社保", "社会安全", "社会保障")
"""Words one of which stands before nine digits that are one."""

_KNOWN_TO_ALL = frozenset({"078051120", "219099999", "457555462"})
_CUE = re.compile(f"(?:{'|'.join(map(re.escape, CUES))})[^0-9\n]*\\Z", re.IGNORECASE)


def check(text, start, end, c):
    found = fold(text[start:end])
    digits = digits_of(found)
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    if area in ("000", "666") or area[0] == "9" or group == "00" or serial == "0000" or digits in _KNOWN_TO_ALL:
        return None
    if text[start - 1 : start] in ("+", "＋") or ("-" not in found and not _CUE.search(text, max(0, start - 40), start)):
        return None
    return start, end


def fake(found, draw):
    number = draw(digits_of(found))
    return pour(f"9{number % 100:02d}{1 + number // 100 % 49:02d}{1 + number // 4900 % 9999:04d}", found)
