"""International bank account numbers (ISO 13616): a country's length and structure, and mod 97 = 1. `--scrub iban`.

With the first four characters moved to the end and letters read as A = 10 … Z = 35, the number leaves 1 when divided by 97.
The countries' structures come from python-stdnum. In one run or in groups of four. A fake keeps the country and the form; its
bank is 0000 or XXXX, which no country gives out.
"""

from __future__ import annotations

import functools
import re

from megatron_ext.corpus.sensitive.folding import fold

TITLE = "IBANs"
CERTAINTY = 9


@functools.cache
def _length(country: str) -> int | None:
    from stdnum.iban import _ibandb

    found = _ibandb.info(country + "00")[0][1]
    return 4 + sum(map(int, re.findall(r"([0-9]+)!", found["bban"]))) if found else None


def check(text, start, end, c):
    from stdnum.iban import is_valid

    value = fold(text[start:end])
    length = _length(value[:2])
    if length is None:
        return None
    end = start
    for i, c in enumerate(value):  # words in capitals may stand behind: `… 7654 32 IBAN`
        length -= c != " "
        if length == 0:
            end = start + i + 1
            break
    kept = value[: end - start]
    if not kept or value[len(kept) :][:1].isalnum() or not is_valid(kept, check_country=False):
        return None
    return start, end


def fake(found, draw):
    from stdnum.iban import calc_check_digits

    value = fold(found).replace(" ", "")
    country, rest = value[:2], value[4:]
    if re.fullmatch("[0X]{4}", rest[:4]):
        return found
    number, made = draw(value), []
    for i, c in enumerate(rest):
        number, drawn = divmod(number, 26)
        made.append(("0" if i < 4 else str(drawn % 10)) if c.isdigit() else "X" if i < 4 else chr(65 + drawn))
    bban = "".join(made)
    return _pour_all(country + calc_check_digits(f"{country}00{bban}") + bban, found)


def _pour_all(value: str, form: str) -> str:
    rest = iter(value)
    return "".join(next(rest) if fold(c) != " " else c for c in form)
