"""Payment cards (ISO/IEC 7812): a network's prefix, a length that it issues, Luhn's check digit. `--scrub bank_card`.

Luhn: from the right, every second digit doubled, its digits summed; the sum of all is a multiple of 10. One number in ten
passes, so prefixes and lengths are checked too. In one run, or in groups as cards print them (4-4-4-4, 4-6-5, …). A fake
keeps the form and begins with the prefix of the network's published test numbers.
"""

from __future__ import annotations

import re

from megatron_ext.corpus.sensitive.folding import digits_of, pour

TITLE = "bank cards"
CERTAINTY = 6

_NETWORKS = {  # prefixes, lengths, prefix of test numbers
    "American Express": (r"3[47]", (15,), "378282"),
    "Diners Club": (r"30[0-5]|309|3[689]", (14, 16), "305693"),
    "JCB": (r"35(?:2[89]|[3-8])", (16,), "356600"),
    "Visa": (r"4", (16, 19), "424242"),
    "Mastercard": (r"5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)", (16,), "555555"),
    "UnionPay": (r"62|9558[08]", (16, 17, 18, 19), "620000"),
    "Discover": (r"6011|64[4-9]|65", (16, 19), "601111"),
    "Mir": (r"220[0-4]", (16, 17, 18, 19), "220000"),
    "Maestro": (r"50[0-9]|5[6-8]|6(?:304|759|76[1-3])", (16, 18, 19), "676770"),
    "RuPay": (r"60|508[5-9]", (16,), "607000"),
}
_FACTOR = re.compile(r"[*^+] ?\Z"), re.compile(r" ?[*^]")
_PREFIXES = {name: re.compile(prefix) for name, (prefix, _, _) in _NETWORKS.items()}


def check(text, start, end, c):
    digits = digits_of(text[start:end])
    if len(set(digits)) == 1 or "00000000" in digits or _network(digits) is None or luhn(digits):
        return None
    if _FACTOR[0].search(text, max(0, start - 2), start) or _FACTOR[1].match(text, end):
        return None  # a number in a formula
    return start, end


def _network(digits: str) -> str | None:
    return next((name for name in _NETWORKS if len(digits) in _NETWORKS[name][1] and _PREFIXES[name].match(digits)), None)


def luhn(digits: str) -> int:
    """What is left of the sum; 0: the check digit is right."""
    return (sum(map(int, digits[-1::-2])) + sum(sum(divmod(2 * int(d), 10)) for d in digits[-2::-2])) % 10


def fake(found, draw):
    digits = digits_of(found)
    prefix = _NETWORKS[_network(digits)][2]
    if digits.startswith(prefix):
        return found
    width = len(digits) - len(prefix) - 1
    body = f"{prefix}{draw(digits) % 10**width:0{width}d}"
    return pour(f"{body}{-luhn(body + '0') % 10}", found)
