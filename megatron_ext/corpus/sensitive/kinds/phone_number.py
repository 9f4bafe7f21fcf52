"""Phone numbers that can be called: international (+…, 00…) and national forms. `--scrub phone_number`, `--scrub-phone-regions`.

A pre-scan proposes shapes; a number is one if the numbering plan of its country has it, by the patterns of Google's
libphonenumber (package phonenumbers). They are compiled here once a region: the package's own parse() takes 40 µs a number, a
match 1 µs. Digits in one run are a number only with a word that says phone before them, but for Britain's mobile numbers
(07…), and for China's (1xx…) in Chinese text. Extensions stay. A fake keeps the form: 555-01xx in North America, Ofcom's
numbers for drama in Britain, elsewhere one that no plan has.
"""

from __future__ import annotations

import functools
import re

from megatron_ext.arguments.problems import UserError
from megatron_ext.corpus.sensitive.folding import digits_of, fold, pour

TITLE = "phone numbers"
CERTAINTY = 2

CUES = (
    *("tel", "phone", "telephone", "fax", "mobile", "cell", "call", "dial", "whatsapp", "wechat", "sms", "text me", "contact"),
    "hotline",
    *("电话", "手机", "传真", "联系", "热线", "致电", "拨打", "来电", "客服", "短信", "微信"),
)
"""Words one of which stands before digits in one run that are a number."""

_CUE = re.compile("|".join(f"(?<![A-Za-z]){cue}" if cue.isascii() else cue for cue in CUES), re.IGNORECASE)
_TYPES = "fixed_line mobile toll_free premium_rate shared_cost personal_number voip pager uan voicemail".split()
_GROUP = re.compile("[0-9]+")
_BESIDE_BEFORE, _BESIDE_BEHIND = re.compile("[0-9] $"), re.compile(" [0-9]")
_YEAR = re.compile(r"\((?:19|20)[0-9]{2}\)")  # (2012) 755-767: pages of a journal
_DECIMAL = re.compile(r"\+?([0-9]+)\.[0-9]+")
_HAN_NEAR = 60  # characters: a mobile number of China without a word that says phone stands in Chinese text
_NUMBERED = re.compile(
    r"[./#]\Z|(?:^|[^0-9A-Za-z])-\Z|(?:\b(?:id|no|nr|order|invoice|isbn|issn|doi|pmid|oclc|lccn)|编号|单号|文号|书号)[.:：#=\s]{0,3}\Z",
    re.IGNORECASE,
)
_HAN = re.compile("[\u4e00-\u9fff]")
_DRAMA = ("7700900", "1632960", "2079460")  # Ofcom's
_LEADS = [f"{lead:0{width}d}" for width in (1, 2, 3) for lead in range(10**width)]
_NANP = (201, 202, 203, 206, 212, 213, 215, 216, 303, 305, 312, 313, 404, 408, 412, 415, 503, 512, 602, 617, 702, 713, 718, 805)


@functools.cache
def _plan(region: str) -> re.Pattern[str]:
    """All numbers that the region's plan has, without its national prefix."""
    from phonenumbers import PhoneMetadata

    plan = PhoneMetadata.metadata_for_region(region, None)
    if plan is None:
        raise UserError(f"--scrub-phone-regions {region}: is no region of phonenumbers; write a code of ISO 3166: US, GB, CN …")
    return _any_of(plan)


def known(region: str) -> None:
    """UserError where phonenumbers has no such region."""
    _plan(region)


def _any_of(plan) -> re.Pattern[str]:
    kinds = [getattr(plan, kind) for kind in _TYPES]
    return re.compile("|".join(f"(?:{kind.national_number_pattern})" for kind in kinds if kind and kind.national_number_pattern))


@functools.cache
def _plans(code: int) -> tuple[re.Pattern[str], ...]:
    """The plans of a country code's regions."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

    regions = COUNTRY_CODE_TO_REGION_CODE.get(code, ())
    return tuple(_any_of(PhoneMetadata.metadata_for_nongeo_region(code)) if r == "001" else _plan(r) for r in regions)


@functools.cache
def _trunk(region: str) -> tuple[int, str]:
    """The region's country code and its national prefix, where a caller dials one."""
    from phonenumbers import PhoneMetadata

    _plan(region)
    plan = PhoneMetadata.metadata_for_region(region)
    return plan.country_code, plan.national_prefix or ""


def _split(digits: str) -> int | None:
    """The length of the country code that an international number begins with, if its plan has the rest."""
    for length in (1, 2, 3):
        rest = digits[length:]
        for plan in _plans(int(digits[:length] or 0)):
            if plan.fullmatch(rest) or (rest[:1] == "0" and plan.fullmatch(rest[1:])):  # +44 (0)20 …
                return length
    return None


def _national(digits: str, regions) -> str | None:
    """The first of the regions whose plan has the number, with or without the national prefix."""
    for region in regions:
        prefix = _trunk(region)[1]
        if prefix and digits.startswith(prefix):
            if _plan(region).fullmatch(digits[len(prefix) :]):
                return region
        if (prefix != "0" or digits[0] != "0") and _plan(region).fullmatch(digits):
            mobile = len(digits) == 11 and digits[0] == "1"
            if prefix != "0" or (region == "CN" and (mobile or digits.startswith(("400", "800")))):
                return region
    return None


def check(text, start, end, c):
    found = fold(text[start:end])
    ends = [match.end() for match in _GROUP.finditer(found)]
    international = found[0] == "+"
    for stop in reversed(ends):  # numbers may follow that are no part of it
        digits = digits_of(found[:stop])
        if len(digits) < 7:
            break
        if _is_decimal(found, stop, text, start):
            continue
        if international:
            sound = _split(digits) is not None
        elif digits.startswith("00"):
            alone = not (found[:stop].isdigit() or _NUMBERED.search(text, max(0, start - 12), start))
            alone = alone and not _crowded(found[:stop], text, start, least=2)
            sound = _split(digits[2:]) is not None and (alone or _cued(text, start))
        else:
            sound = _sounds(digits, found[:stop], text, start, c)
        if sound:
            return start, start + stop
    return None


def _is_decimal(found: str, stop: int, text: str, start: int) -> bool:
    """A number with a decimal point: `+35236450.6`, `-0345678.5432`, `1.319 590 9068`; not behind a word that says phone."""
    whole = _DECIMAL.match(fold(text[start : start + 32]))  # the point may stand behind what was proposed
    if whole is None or _cued(text, start):
        return False
    if text[start + stop : start + stop + 1] == "." and text[start + stop + 1 : start + stop + 2].isdigit():
        return True  # an address or a version goes on
    return whole.end() >= stop or len(whole[1]) > 3 or (found.startswith("1.") and found[whole.end()] == " ")


def _cued(text: str, start: int) -> bool:
    return _CUE.search(text, max(0, start - 32), start) is not None


def _crowded(found: str, text: str, start: int, least: int = 3) -> bool:
    """Does it read like a row of numbers: further ones beside it, or groups too short for a national number?"""
    if " " not in found or found[0] == "(":
        return False
    beside = _BESIDE_BEFORE.search(text, max(0, start - 2), start) or _BESIDE_BEHIND.match(text, start + len(found))
    return beside is not None or (found[0] == "0" and min(map(len, _GROUP.findall(found))) < least)


def _sounds(digits: str, found: str, text: str, start: int, c) -> bool:
    if digits.startswith("86") and len(digits) == 13:
        return "CN" in c.scrub_phone_regions and _plan("CN").fullmatch(digits[2:]) is not None
    if _NUMBERED.search(text, max(0, start - 12), start) or text[start + len(found) : start + len(found) + 1] in ("*", "^"):
        return False
    if _YEAR.match(found):
        return False
    if len(digits) == 11 and digits[0] == "1" and "CN" in c.scrub_phone_regions and _plan("CN").fullmatch(digits):
        near = text[max(0, start - _HAN_NEAR) : start + len(found) + _HAN_NEAR]
        return not found.isdigit() or _HAN.search(near) is not None or _cued(text, start)
    region = _national(digits, c.scrub_phone_regions)
    if region is None:
        return False
    if found.isdigit() and not (region == "GB" and digits.startswith("07")):
        if digits[0] != "0" and region != "CN" and _HAN.search(text, max(0, start - 6), start):
            return False  # behind Chinese words ten or eleven digits are no foreign number
        return _cued(text, start)
    return not _crowded(found, text, start) or _cued(text, start)


def fake(found, draw):
    digits = digits_of(found)
    folded = fold(found)
    head = 2 if digits.startswith("00") else 0
    if folded[0] == "+" or head:
        head += _split(digits[head:]) or 0
    elif digits.startswith("86") and len(digits) == 13:
        head = 2
    code, rest = digits[:head].lstrip("0"), digits[head:]
    number = draw(digits.lstrip("0") if head else digits)
    if code == "1" or (not code and len(rest.lstrip("01")) == 10 and _national(rest, ("US",))):
        lead = rest[: len(rest) - 10]
        made = lead + f"{_NANP[number % len(_NANP)]}55501{number // 97 % 100:02d}"
        return found if rest[-7:-2] == "55501" else pour(digits[:head] + made, found)
    zero, rest = ("0", rest[1:]) if rest[0] == "0" else ("", rest)
    if (code == "44" or (not code and zero)) and len(rest) == 10 and rest.startswith(_DRAMA):
        return found
    if (code == "44" or (not code and zero and _national("0" + rest, ("GB",)))) and len(rest) == 10:
        home = _DRAMA[0] if rest[0] == "7" else _DRAMA[1] if rest[0] == "1" else _DRAMA[2]
        return pour(digits[:head] + zero + home + f"{number % 1000:03d}", found)
    return pour(digits[:head] + zero + _uncalled(rest, code, number), found)


def _uncalled(rest: str, code: str, number: int) -> str:
    """As many digits that no plan of the country (of China, where none is given) has."""
    width, plans = len(rest), _plans(int(code or 86))
    first = "100" if width == 11 and rest[0] == "1" else "000"  # no area of North America either begins so
    for lead in [first, *_LEADS]:
        made = (lead + f"{number % 10**width:0{width}d}")[:width]
        if not any(plan.fullmatch(made) or plan.fullmatch(made.lstrip("0")) for plan in plans):
            return made
    return "0" * width
