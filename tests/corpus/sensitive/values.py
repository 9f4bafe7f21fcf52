"""Personal data and secrets of every kind, made up: a part of `labelled.py`'s set, which shares nothing with the finders.

Checksums are computed by own code here; phone numbers are variations of phonenumbers' examples that the package calls valid.
"""

from __future__ import annotations

import base64
import datetime
import random
import string

import phonenumbers

ALNUM, LOWER, UPPER = string.ascii_letters + string.digits, string.ascii_lowercase, string.ascii_uppercase
NAMES = "john.smith a.lee wang_wei zhangsan88 m-garcia info x li.na+news PETER o.brien99".split()
HOSTS = (
    "gmail.com mail.example.co.uk 163.com qq.com uni-bonn.de cs.mit.edu foo.io sub.dept.company.org 126.com startup.ai "
    "example.com sina.com.cn firma.com.py nauka.pl"
).split()
CARDS = (
    *(("4", 16, (4, 4, 4, 4)), ("51", 16, (4, 4, 4, 4)), ("2221", 16, (4, 4, 4, 4)), ("37", 15, (4, 6, 5))),
    *(("6011", 16, (4, 4, 4, 4)), ("3528", 16, (4, 4, 4, 4)), ("36", 14, (4, 6, 4)), ("62", 16, (4, 4, 4, 4))),
    *(("622202", 19, (4, 4, 4, 4, 3)), ("621700", 19, (6, 13))),
)
"""Prefix, length, groups."""
BBANS = dict(
    DE="n" * 18,
    GB="aaaa" + "n" * 14,
    FR="n" * 23,
    NL="aaaa" + "n" * 10,
    CH="n" * 17,
    ES="n" * 20,
    PL="n" * 24,
    NO="n" * 11,
    MT="aaaa" + "n" * 23,
    SA="n" * 20,
)
"""The structure behind an IBAN's check digits: n a digit, a a letter."""
PLACES = "110105 310104 440305 510107 320102 420106 610113 230103 650102 810000".split()


def digits(draw: random.Random, n: int) -> str:
    return letters(draw, n, string.digits)


def letters(draw: random.Random, n: int, among: str = LOWER) -> str:
    return "".join(draw.choice(among) for _ in range(n))


def luhn_digit(body: str) -> str:
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (1 if place % 2 else 2)
        total += value // 10 + value % 10
    return str((10 - total % 10) % 10)


def email(draw, language):
    return f"{draw.choice([*NAMES, letters(draw, 7)])}@{draw.choice(HOSTS)}"


def _phone(draw, region):
    kinds = [phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.TOLL_FREE]
    while True:
        number = phonenumbers.example_number_for_type(region, draw.choice(kinds)) or phonenumbers.example_number(region)
        national = phonenumbers.national_significant_number(number)
        for keep in (4, 5, 6, len(national)):  # other last digits, where the plan has them
            other = phonenumbers.PhoneNumber(
                country_code=number.country_code,
                national_number=int(national[:keep] + digits(draw, len(national) - keep)),
                italian_leading_zero=number.italian_leading_zero,
            )
            if phonenumbers.is_valid_number(other):
                return other


def phone_number(draw, language):
    forms = phonenumbers.PhoneNumberFormat
    if draw.random() < 0.4:
        number = _phone(draw, draw.choice(sorted(phonenumbers.SUPPORTED_REGIONS)))
        return phonenumbers.format_number(number, draw.choice((forms.E164, forms.INTERNATIONAL)))
    number = _phone(draw, draw.choice(("CN", "CN", "US") if language == "chinese" else ("US", "GB")))
    national = phonenumbers.format_number(number, forms.NATIONAL)
    plain = phonenumbers.national_significant_number(number)
    if number.country_code == 1:
        shapes = ("({}) {}-{}", "{}-{}-{}", "{}.{}.{}", "1-{}-{}-{}", "+1 ({}) {}-{}")
        return draw.choice(shapes).format(plain[:3], plain[3:6], plain[6:])
    if number.country_code == 86 and len(plain) == 11 and plain[0] == "1":
        return draw.choice((plain, national, f"{plain[:3]}-{plain[3:7]}-{plain[7:]}", "+86" + plain, "86" + plain))
    return national


def ip_address(draw, language):
    if draw.random() < 0.25:
        groups = [f"{draw.randrange(65536):x}" for _ in range(8)]
        groups[0] = draw.choice(("2001", "2400", "2606", "2a00"))
        if groups[0] == "2001":
            groups[1] = "4860"
        return draw.choice((":".join(groups), ":".join(groups[:4]) + "::" + groups[5], ":".join(groups[:3]) + "::1"))
    while True:
        parts = [draw.randrange(1, 224), draw.randrange(256), draw.randrange(256), draw.randrange(1, 255)]
        local = parts[0] in (10, 127) or (parts[0] == 172 and 16 <= parts[1] < 32) or (parts[0] == 100 and 64 <= parts[1] < 128)
        if not local and parts[:2] not in ([169, 254], [192, 168], [192, 0], [198, 18], [198, 19]):
            return ".".join(map(str, parts))


def bank_card(draw, language):
    prefix, length, groups = draw.choice(CARDS)
    body = prefix + digits(draw, length - len(prefix) - 1)
    number = body + luhn_digit(body)
    separator = draw.choice(("", "", " ", "-"))
    if not separator:
        return number
    ends = [sum(groups[: i + 1]) for i in range(len(groups))]
    return separator.join(number[end - size : end] for end, size in zip(ends, groups))


def iban(draw, language, wrong=0):
    country = draw.choice(sorted(BBANS))
    bban = "".join(draw.choice(string.digits if c == "n" else UPPER) for c in BBANS[country])
    rest = int("".join(str(int(c, 36)) for c in f"{bban}{country}00")) % 97
    value = f"{country}{(96 - rest + wrong) % 97 + 2:02d}{bban}"
    return value if draw.random() < 0.5 else " ".join(value[i : i + 4] for i in range(0, len(value), 4))


def chinese_id(draw, language, date=None):
    date = date or (datetime.date(1940, 1, 1) + datetime.timedelta(draw.randrange(29000))).strftime("%Y%m%d")
    body = draw.choice(PLACES) + date + digits(draw, 3)
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    value = body + "10X98765432"[sum(w * int(c) for w, c in zip(weights, body)) % 11]
    return value.lower() if draw.random() < 0.2 else value


def us_ssn(draw, language):
    area = draw.choice([a for a in range(1, 900) if a != 666])
    return f"{area:03d}-{draw.randrange(1, 100):02d}-{draw.randrange(1, 10000):04d}"


def secret(draw, language):
    """`(text before, secret, text after)`."""
    b64url = lambda n: base64.urlsafe_b64encode(draw.randbytes(n)).decode().rstrip("=")
    some = lambda n, among=ALNUM: letters(draw, n, among)
    pem = base64.b64encode(draw.randbytes(600)).decode()
    lines = "\n".join(pem[i : i + 64] for i in range(0, len(pem), 64))
    choices = [
        ("AWS_ACCESS_KEY_ID=", "AKIA" + some(16, UPPER + "234567"), ""),
        ("aws_secret_access_key = ", base64.b64encode(draw.randbytes(30)).decode(), ""),
        ("", "ghp_" + some(36), ""),
        ("token ", f"github_pat_{some(22)}_{some(59)}", ""),
        ("", f"xoxb-{digits(draw, 12)}-{digits(draw, 12)}-{some(24)}", ""),
        ('"', "AIza" + some(34, ALNUM + "_-") + some(1), '"'),
        ("OPENAI_API_KEY=", "sk-" + some(48), ""),
        ("", "sk-proj-" + some(60), ""),
        ("", "sk_live_" + some(24), ""),
        ("Authorization: Bearer ", f"eyJhbGciOiJIUzI1NiJ9.eyJ{b64url(30)}.{b64url(32)}", ""),
        ("", f"-----BEGIN RSA PRIVATE KEY-----\n{lines}\n-----END RSA PRIVATE KEY-----", ""),
        ("", f"-----BEGIN OPENSSH PRIVATE KEY-----\n{lines}\n-----END OPENSSH PRIVATE KEY-----", ""),
        ("postgresql://admin:", some(10) + draw.choice("!#$") + digits(draw, 2), "@db.internal:5432/app"),
        ("https://bob:", some(6, LOWER) + digits(draw, 4), "@git.company.com/repo.git"),
        ('api_key = "', some(32, "0123456789abcdef"), '"'),
        ("client_secret: '", some(32), "'"),
        ('"access_token": "', some(40), '"'),
        ('password = "', some(9) + draw.choice("!#$%") + digits(draw, 2), '"'),
        ("DB_PASSWORD=", f"{some(3, UPPER)}{some(5, LOWER)}{digits(draw, 3)}!{some(2, UPPER)}", ""),
        ('SECRET_KEY = "', some(50, ALNUM + "!#$%^&*-_=+"), '"'),
    ]
    return draw.choice(choices)


VALUES = dict(
    email=email,
    phone_number=phone_number,
    ip_address=ip_address,
    bank_card=bank_card,
    iban=iban,
    chinese_id=chinese_id,
    us_ssn=us_ssn,
    secret=secret,
)
