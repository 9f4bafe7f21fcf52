"""Where personal data may stand in a text: spans proposed by form alone, in one pass over it, for the kinds to check.

`Candidates(kinds)(text)` gives `{kind: [(start, end), …]}` in characters. `native/candidates.cpp` makes the pass; where it
was not built, the twin here, in which the forms are easy to read. Reason for own code: patterns of `regex` reach 20 MB/s for
all kinds, of `re` 6; the pass reaches hundreds (docs/personal_data.md), so that the checks of what it proposes decide the
speed.
"""

from __future__ import annotations

import re

from megatron_ext.corpus.sensitive.folding import fold
from megatron_ext.corpus.sensitive.kinds import bank_card, phone_number, secret, us_ssn
from megatron_ext.native import compiled as native
from megatron_ext.native import say_that_the_twins_serve

FORMS = ("email", "phone_number", "ip_address", "bank_card", "iban", "chinese_id", "us_ssn", "secret")
"""The kinds, in the order of native/candidates.cpp."""

WORDS = (phone_number.CUES, us_ssn.CUES, secret.NAMES, secret.PREFIXES)
IMPLEMENTATIONS = ("native", "python") if native else ("python",)


class Candidates:
    """Made once for a choice of kinds; `implementation` is `auto` or one of IMPLEMENTATIONS."""

    def __init__(self, kinds, implementation: str = "auto"):
        if implementation == "auto" and not native:
            say_that_the_twins_serve()
        self._forms = sum(1 << FORMS.index(kind) for kind in set(kinds))
        python = implementation == "python" or not native
        self._propose = (lambda text, forms: _Pass(text, forms).run()) if python else native.Proposer(*WORDS)

    def __call__(self, text: str) -> list[tuple[int, int, int]]:
        """`(number in FORMS, start, end)`."""
        return self._propose(text, self._forms)


_TRIGGER = re.compile(r"(?<![0-9A-Za-z_])[0-9A-Za-z]|[@:=+(-]")
_CLOSED = r"(?![0-9A-Za-z_])(?![.\-][0-9])"
_CALLED = rf"(?:(?=[xX][0-9])|{_CLOSED})"
_OPEN = r"(?<![0-9][.\-])"
_APART = r"(?<![0-9][.\- ])"  # before groups with spaces between them
_LAST = r"(?! [0-9]{3})"  # behind them

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"(?<![0-9]\.)(?:{_OCTET}\.){{3}}{_OCTET}(?![0-9A-Za-z_])(?!\.[0-9])")
_SSN = re.compile(rf"{_OPEN}[0-9]{{3}}-[0-9]{{2}}-[0-9]{{4}}{_CLOSED}|{_APART}[0-9]{{3}} [0-9]{{2}} [0-9]{{4}}{_CLOSED}{_LAST}")
_NINE = re.compile(rf"{_OPEN}[0-9]{{9}}{_CLOSED}")
_ONE_RUN = re.compile(rf"{_OPEN}[2-69][0-9]{{13,18}}{_CLOSED}")
_CARDS = [_ONE_RUN] + [
    re.compile(before + separator.join(f"[0-9]{{{length}}}" for length in lengths) + _CLOSED + behind)
    for separator, before, behind in ((" ", _APART, _LAST), ("-", _OPEN, ""))
    for lengths in ((4, 4, 4, 4, 3), (4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (6, 13))
]
_DATE = r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
_IDS = [
    re.compile(rf"{before}[1-9][0-9]{{5}}{separator}{_DATE}{separator}[0-9]{{3}}[0-9Xx]{_CLOSED}")
    for separator, before in (("", _OPEN), ("-", _OPEN), (" ", _APART))
]
_SEPARATORS = (("-", _OPEN, ""), ("[.]", _OPEN, ""), (" ", _APART, _LAST))
_PHONES = [
    *(
        re.compile(rf"{before}1{one}[2-9][0-9]{{2}}{two}[0-9]{{3}}{two}[0-9]{{4}}{_CALLED}{behind}")
        for one, before, _ in _SEPARATORS
        for two, _, behind in _SEPARATORS
    ),
    *(re.compile(rf"{before}[2-9][0-9]{{2}}{s}[0-9]{{3}}{s}[0-9]{{4}}{_CALLED}{behind}") for s, before, behind in _SEPARATORS),
    *(
        re.compile(rf"{before}[48]00{s}[0-9]{{4}}{s}[0-9]{{3}}{_CALLED}{behind}")
        for s, before, behind in _SEPARATORS
        if s != "[.]"
    ),
    *(
        re.compile(rf"{before}(?:86[ \-]?)?1[3-9][0-9]{s}[0-9]{{4}}{s}[0-9]{{4}}{_CALLED}{behind}")
        for s, before, behind in (("", _OPEN, ""), *_SEPARATORS)
        if s != "[.]"
    ),
]
_BARE_PHONE = re.compile(rf"{_OPEN}(?:[2-9][0-9]{{9}}|1[2-9][0-9]{{9}}){_CLOSED}")
_ZERO = re.compile(rf"{_OPEN}(0[0-9]{{2,14}})(?![0-9])")
_PLUS = re.compile(r"(?<![0-9A-Za-z_+])\+\(?([0-9]{1,15})(?![0-9])")
_BRACKET = re.compile(r"(?<![0-9A-Za-z_)])\(([0-9]{2,5})(?=\))")
_FURTHER = re.compile(r"[ .\-]([0-9]{1,12})(?![0-9])")
_FURTHER_BRACKETS = re.compile(r"[ .\-()/]{1,2}([0-9]{1,12})(?![0-9])")
_ENDS = re.compile(r"(?![0-9A-Za-z_])|(?=[xX][0-9])")
_GROUP = r"(?: [A-Z0-9]{4}(?![0-9A-Za-z_]))"
_IBAN = re.compile(
    r"[A-Z]{2}[0-9]{2}(?:[A-Z0-9]{11,30}(?![0-9A-Za-z_])"
    rf"|{_GROUP}{{8}}|{_GROUP}{{1,7}}(?: [A-Z0-9]{{1,3}}(?![0-9A-Za-z_]))?)"
)
_TOKEN = re.compile(r"[0-9A-Za-z_.\-]*")
_LOCAL = re.compile(r"[0-9A-Za-z._%+\-\u00c0-\u024f]")
_DOMAIN = re.compile(r"[0-9A-Za-z.\-\u00c0-\u024f]{0,255}")
_OF_ADDRESS = frozenset("0123456789ABCDEFabcdef:.")
_USER = re.compile(r"""(?:(?![/@"'<>`:])[!-~]){0,100}:((?:(?![/@"'<>`])[!-~]){1,200})@(?=[0-9A-Za-z])""")
_NAME = re.compile(r"[0-9A-Za-z_.\-\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_VALUE = re.compile(r"(?:(?![\"'`,;()<>\[\]{}\\])[!-~]){8,200}(?!(?![\"'`,;()<>\[\]{}\\])[!-~])")
_BLANKS = re.compile(r"[ \t]{0,4}[\"'`]?")


def _cue(words) -> re.Pattern[str]:
    """One of them; none that begins with a letter is the end of another word."""
    return re.compile("|".join(f"(?<![A-Za-z]){re.escape(w)}" if w[0].isascii() else w for w in words), re.IGNORECASE | re.ASCII)


_PHONE_CUE, _SSN_CUE = _cue(phone_number.CUES), _cue(us_ssn.CUES)


class _Pass:
    """The twin of the pass in native/candidates.cpp, one method a form, with the same names."""

    def __init__(self, text: str, forms: int):
        self.text, self.forms = fold(text), forms
        self.found: list[tuple[int, int, int]] = []
        self.done, self.looked6 = [0] * len(FORMS), 0

    def run(self):
        for match in _TRIGGER.finditer(self.text):
            i, c = match.start(), match[0]
            if "0" <= c <= "9":
                self.number(i)
            elif c.isalpha():
                self.letters(i)
            elif c == "@":
                self.email(i)
            elif c in "+(":
                self.international(i) if c == "+" else self.bracketed(i)
            elif c == "-":
                if self.text.startswith("-----BEGIN ", i):
                    self.propose("secret", i, i + 11)
            else:
                if c == ":":
                    self.address6(i)
                self.assigned(i, c)
        return self.found

    def wanted(self, form: str, i: int) -> bool:
        number = FORMS.index(form)
        return bool(self.forms >> number & 1) and i >= self.done[number]

    def propose(self, form: str, start: int, end: int) -> bool:
        if not self.wanted(form, start):
            return False
        self.found.append((FORMS.index(form), start, end))
        self.done[FORMS.index(form)] = end
        return True

    def first(self, form: str, i: int, patterns, sound=lambda match: True) -> bool:
        """Propose the first pattern's match that is sound."""
        match = next((m for m in (pattern.match(self.text, i) for pattern in patterns) if m and sound(m)), None)
        return match is not None and self.propose(form, i, match.end())

    def cue(self, pattern, i: int) -> bool:
        return pattern.search(self.text, max(0, i - 32), i) is not None

    def number(self, i: int) -> None:
        self.first("ip_address", i, (_IPV4,))
        self.first("us_ssn", i, (_SSN,)) or self.first("us_ssn", i, (_NINE,), lambda match: self.cue(_SSN_CUE, i))
        self.first("bank_card", i, _CARDS, lambda match: bank_card.luhn(re.sub("[^0-9]", "", match[0])) == 0)
        self.first("chinese_id", i, _IDS)
        if self.wanted("phone_number", i) and self.text[i - 1 : i] != "+":
            if self.text[i] == "0":
                zero = _ZERO.match(self.text, i)
                return zero and self.chain(i, zero, _FURTHER, 9)
            self.first("phone_number", i, _PHONES) or self.first(
                "phone_number", i, (_BARE_PHONE,), lambda match: self.cue(_PHONE_CUE, i)
            )

    def international(self, i: int) -> None:
        plus = _PLUS.match(self.text, i)
        if plus:
            self.chain(i, plus, _FURTHER_BRACKETS, 7)

    def bracketed(self, i: int) -> None:
        bracket = _BRACKET.match(self.text, i)
        if bracket:
            self.chain(i, bracket, _FURTHER_BRACKETS, 9)

    def chain(self, start: int, match: re.Match[str], further: re.Pattern[str], least: int) -> None:
        """A group of digits and those behind it, up to the last one that ends where a number may end."""
        stop, upto, digits, count = 0, 0, 0, 0
        while match and count <= 6:
            digits, count = digits + len(match[1]), count + 1
            if _ENDS.match(self.text, match.end()):
                stop, upto = match.end(), digits
            match = further.match(self.text, match.end())
        if stop and upto >= least:
            self.propose("phone_number", start, stop)

    def letters(self, i: int) -> None:
        match = _IBAN.match(self.text, i)
        if match and len(match[0]) >= 14:
            self.propose("iban", i, match.end())
        for prefix in secret.PREFIXES:
            if self.text.startswith(prefix, i):
                end = _TOKEN.match(self.text, i + len(prefix)).end()
                if end - i >= 16:
                    self.propose("secret", i, end)
                    return

    def email(self, i: int) -> None:
        if not self.wanted("email", i):
            return
        start = i
        while start > self.done[0] and i - start < 65 and _LOCAL.match(self.text, start - 1):
            start -= 1
        end = _DOMAIN.match(self.text, i + 1).end()
        if start < i and i - start < 65 and "." in self.text[i + 2 : end]:
            self.propose("email", start, end)

    def address6(self, i: int) -> None:
        text = self.text
        if i < self.looked6 or (text[i + 1 : i + 2] or " ") not in _OF_ADDRESS - {"."}:
            return
        start = end = i
        while start > self.looked6 and i - start < 5 and text[start - 1] in _OF_ADDRESS:
            start -= 1
        while end < len(text) and text[end] in _OF_ADDRESS and end - start < 50:
            end += 1
        self.looked6 = end
        colons, twice = text.count(":", start, end), "::" in text[start : end + 1]
        if text[start] == ":" and text[start + 1 : start + 2] != ":":
            start += 1
        if (twice or colons >= 6) and not (start and _in_word(text[start - 1])) and not _in_word(text[end : end + 1]):
            if self.wanted("ip_address", i):
                self.found.append((FORMS.index("ip_address"), start, end))
                self.done[FORMS.index("ip_address")] = end

    def assigned(self, i: int, c: str) -> None:
        text = self.text
        if c == ":" and text.startswith("//", i + 1):
            match = _USER.match(text, i + 3)
            return match and self.propose("secret", match.start(1), match.end(1))
        before, after = text[i - 1 : i] if i else "", text[i + 1 : i + 2]
        if (c == ":" and ":" in (before, after)) or after == c or (c == "=" and before and before in "=!<>:"):
            return
        right = i + 1 + (after != "" and after in "=>")
        left = i
        while left and i - left < 4 and text[left - 1] in " \t":
            left -= 1
        left -= left > 0 and text[left - 1] == "]"
        left -= left > 0 and text[left - 1] in "\"'`"
        if not self.named(left):
            return
        right = _BLANKS.match(text, right).end()
        match = _VALUE.match(text, right)
        if match:
            self.propose("secret", right, match.end())

    def named(self, end: int) -> bool:
        start = end
        while start > max(0, end - 40) and _NAME.match(self.text, start - 1):
            start -= 1
        name = re.sub(r"[_.\-]", "", self.text[start:end]).translate(_LOWER)
        return any(word in name for word in secret.NAMES)


_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def _in_word(c: str) -> bool:
    return c != "" and c.isascii() and (c.isalnum() or c == "_")
