"""Identity numbers of the People's Republic of China (GB 11643-1999): 17 digits, a digit or X. `--scrub chinese_id`.

Six digits of place, eight of birth, three of order, one of check: Σ a_i · 2^(18-i) ≡ 1 (mod 11), with X for 10. The place's
province must be one, the date a day that was. In one run, or 6-8-4. A fake has place 990000, which is no province's; it is
not found again.
"""

from __future__ import annotations

import datetime

from megatron_ext.corpus.sensitive.folding import digits_of, fold

TITLE = "Chinese identity numbers"
CERTAINTY = 8

_PROVINCES = frozenset(
    "11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 83 91".split()
)


def check(text, start, end, c):
    from stdnum.cn.ric import calc_check_digit, get_birth_date
    from stdnum.exceptions import ValidationError

    value = _value(text[start:end])
    if value[:2] not in _PROVINCES or calc_check_digit(value) != value[-1]:
        return None
    try:
        born = get_birth_date(value)
    except ValidationError:
        return None
    return (start, end) if born <= datetime.date.today() else None


def _value(found: str) -> str:
    found = fold(found)
    return digits_of(found[:-1]) + found[-1].upper()


def fake(found, draw):
    from stdnum.cn.ric import calc_check_digit

    number = draw(_value(found))
    born = datetime.date(1950, 1, 1) + datetime.timedelta(number % 20_000)
    value = f"990000{born:%Y%m%d}{number // 20_000 % 1000:03d}"
    rest = iter(value + calc_check_digit(value + "0"))
    return "".join(c if fold(c) in " -" else next(rest) for c in found)
