"""Keys, tokens and passwords in code and configuration. `--scrub secret`.

Three signs: a form that a service gives its keys (AWS, GitHub, GitLab, Slack, Google, OpenAI, Stripe, Hugging Face, npm,
PyPI, JWT …, and private key blocks in PEM); a password in a URL (`scheme://user:password@host`); and a value of high entropy
that is assigned to a name such as api_key, secret, token, password. Entropy is Shannon's over the value's characters, in bits
a character. Words, calls, paths, variables (`${TOKEN}`) and values that say they are examples are no secrets. A fake keeps
the form's prefix and each character's class, and ends in EXAMPLE.
"""

from __future__ import annotations

import collections
import math
import random
import re

from megatron_ext.corpus.sensitive.folding import fold

TITLE = "keys, tokens and passwords"
CERTAINTY = 7

NAMES = (
    *("apikey", "secret", "token", "passwd", "password", "passphrase", "pwd", "accesskey", "privatekey", "authkey", "clientkey"),
    *("credential", "encryptionkey", "signingkey", "密码", "口令", "密钥", "令牌"),
)
"""Words in a name that say that a secret is assigned to it; case, `_`, `-` and `.` do not count."""

_TOKENS = {
    **dict.fromkeys(("AKIA", "ASIA"), r"[A-Z0-9]{16}(?![0-9A-Za-z])"),
    **dict.fromkeys(("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"[0-9A-Za-z]{36,}"),
    "github_pat_": r"[0-9A-Za-z_]{60,}",
    "glpat-": r"[0-9A-Za-z_-]{20,}",
    **{f"xox{c}-": r"[0-9A-Za-z-]{20,}" for c in "abeoprs"},
    "xapp-": r"[0-9A-Za-z-]{20,}",
    "AIza": r"[0-9A-Za-z_-]{35}(?![0-9A-Za-z])",
    "ya29.": r"[0-9A-Za-z_-]{20,}",
    "GOCSPX-": r"[0-9A-Za-z_-]{20,}",
    "sk-": r"(?!ecdsa|ssh-)(?:proj-|ant-|or-|svcacct-|admin-)?[0-9A-Za-z_-]{20,}",
    **dict.fromkeys(("sk_live_", "rk_live_", "sk_test_", "rk_test_", "whsec_"), r"[0-9A-Za-z]{16,}"),
    "hf_": r"[0-9A-Za-z]{30,}",
    "npm_": r"[0-9A-Za-z]{36}",
    "pypi-": r"[0-9A-Za-z_-]{50,}",
    "SG.": r"[0-9A-Za-z_-]{16,}\.[0-9A-Za-z_-]{16,}",
    "dop_v1_": r"[0-9a-f]{64}",
    "shpat_": r"[0-9a-f]{32}",
    "eyJ": r"[0-9A-Za-z_-]{8,}\.eyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{16,}",
}
PREFIXES = tuple(_TOKENS)

_FORMS = {prefix: re.compile(re.escape(prefix) + form) for prefix, form in _TOKENS.items()}
_BEGIN = re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")
_END = re.compile(r"-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")
_APART = r"(?:\s|\\[nr]|[\"',>#+*/])*"  # between the lines of a block, which may stand in a string, a comment or a patch
_HEADERS = rf"(?:{_APART}[A-Z][A-Za-z-]+: [^\n\\]*)*"
_BODY = re.compile(rf"{_HEADERS}(?:{_APART}[0-9A-Za-z+/=]{{16,}})+")
_LINE = re.compile("[0-9A-Za-z+/=]{40}")
_LAST = re.compile(rf"{_APART}[0-9A-Za-z+/=]{{0,80}}{_APART}")
_EXAMPLE = re.compile(
    r"example|your|change.?me|placeholder|dummy|redacted|x{6}|\*{3}|\.{3}|1234567|abcdef|test.?(?:key|token|pass)", re.IGNORECASE
)
_VARIABLE = re.compile(
    r"[$&][A-Za-z_][0-9A-Za-z_]*(?:[/:.]|$)|%[A-Za-z_][0-9A-Za-z_]*%?$|[A-Za-z_]+[.:/][A-Za-z_./:]*$|[.~]{0,2}/[a-z0-9_.-]+(?:/|$)|https?:|#[0-9A-Fa-f]{3,8}$"
)
_PASSWORD_WORDS = frozenset("password passwd pass secret pwd user username token pw mypassword mypass key apikey hunter2".split())
_WORDS = re.compile(r"[A-Za-z]+(?:[_.-][A-Za-z]+)*[_.-]?[0-9]{0,2}")
_DOTTED = re.compile(r"[A-Za-z_][0-9A-Za-z_]*(?:\.[A-Za-z_][0-9A-Za-z_]*)+")
_SIGN = re.compile(r"[:=>][ \t]*[\"'`]?\Z")
_NAMED = re.compile("|".join(NAMES))
_TURN = re.compile(
    r"(?:next|page|lock|request|continuation|starting|pagination|marker|sync|client|change|idempotency|update|action)token$"
)
_CLASS = re.compile(r".*[A-Z][a-z]+(?:Key|Token|Secret|Type)s?")
_NEXT_FIELD = re.compile(r"&(?:amp;)?[A-Za-z_]+=")
_URL = re.compile(r"//[^\s/:@]*:$")


def check(text, start, end, c):
    value = fold(text[start:end])
    if value.startswith("-----BEGIN "):
        return _block(text, start)
    for prefix, form in _FORMS.items():
        if value.startswith(prefix):
            match = form.match(value)
            if match:
                found = match[0].rstrip(".-_") if prefix != "AIza" else match[0]
                if not _EXAMPLE.search(found) and (prefix != "sk-" or _mixed(found[3:])):
                    return start, start + len(found)
    before = fold(text[max(0, start - 120) : start])
    if _URL.search(before):
        return (start, end) if _is_password(value, 4) and not value.startswith(("$", "{", "%", "<", "[")) else None
    return _assigned(text, value, before, start, end) if _SIGN.search(before) else None


def _block(text: str, start: int):
    begin = _BEGIN.match(text, start)
    if begin is None:
        return None
    body = _BODY.match(text, begin.end(), begin.end() + 16_384)
    if body is None or "EXAMPLE" in body[0]:
        return None
    close = _END.search(text, body.end(), body.end() + 200)
    if close is not None and _LAST.fullmatch(text, body.end(), close.start()):
        return start, close.end()
    return (start, body.end()) if _LINE.search(body[0]) else None


def _assigned(text: str, value: str, before: str, start: int, end: int):
    quoted = before[-1:] in ("'", '"', "`")
    after = text[end : end + 1]
    if (quoted and after != before[-1]) or after in ("(", "[", "{", "<") or _VARIABLE.match(value):
        return None
    if not quoted:
        kept = _NEXT_FIELD.split(value)[0].rstrip(".:!?|&*")
        end, value = start + len(kept), kept
    name = re.sub(r"[^0-9A-Za-z\u4e00-\u9fff]", "", before[-50:]).lower()
    if not _NAMED.search(name):
        return None
    if value.count(":") > 1 or _TURN.search(name) or _CLASS.fullmatch(value):
        return None  # paths such as arn:aws:… and times; marks of a page, a lock, a request; names of classes
    if _DOTTED.fullmatch(value) and sum(map(str.isdigit, value)) < 4:
        return None
    if re.search(r"(?:pass|(?<![a-z])pwd|密码|口令)[a-z0-9]{0,8}$", name):
        return (start, end) if _is_password(value, 8) and (quoted or _classes(value) > 2) else None
    if len(value) < (20 if _hex(value) else 16):
        return None
    return (start, end) if _mixed(value) and _entropy(value) >= (3.0 if _hex(value) else 3.5) else None


def _hex(value: str) -> bool:
    return all(c in "0123456789abcdefABCDEF-" for c in value)


def _is_password(value: str, least: int) -> bool:
    plain = re.sub("[^a-z0-9]", "", value.lower())
    return (
        len(value) >= least
        and plain not in _PASSWORD_WORDS
        and not _EXAMPLE.search(value)
        and _classes(value) > 1
        and (_entropy(value) > 2 and not re.fullmatch(r"[A-Za-z]+[0-9]?|[a-z]+(?:[_.-][a-z]+)+|[A-Z]+(?:_[A-Z]+)+", value))
    )


def _classes(value: str) -> int:
    return sum(re.search(form, value) is not None for form in ("[a-z]", "[A-Z]", "[0-9]", "[^0-9A-Za-z_.-]"))


def _mixed(value: str) -> bool:
    """Letters and digits, and not merely words with a number behind them."""
    digits = sum(map(str.isdigit, value))
    return 1 <= digits < len(value) and not _EXAMPLE.search(value) and not _WORDS.fullmatch(value)


def _entropy(value: str) -> float:
    counts = collections.Counter(value).values()
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts)


def fake(found, draw):
    if found.startswith("-----BEGIN "):
        begin, close = _BEGIN.match(found), _END.search(found)
        end = close.start() if close else len(found)
        inside = found[begin.end() : end]
        return begin[0] + _like(inside, draw(inside)) + found[end:]
    prefix = next((prefix for prefix in PREFIXES if found.startswith(prefix)), "")
    return prefix + _like(found[len(prefix) :], draw(found))


def _like(value: str, number: int) -> str:
    """Random characters of the same classes; the last seven letters and digits say that it is an example."""
    random_ = random.Random(number)
    sets = ("0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    made = [next((random_.choice(letters) for letters in sets if c in letters), c) for c in value]
    places = [i for i, c in enumerate(value) if c.isalnum()]
    for i in range(len(places) - 7, -1, -1):
        if places[i + 6] - places[i] == 6:  # seven in one piece
            made[places[i] : places[i] + 7] = "EXAMPLE"
            return "".join(made)
    return "example"
