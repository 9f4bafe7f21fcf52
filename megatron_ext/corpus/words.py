"""Text to words, without a model and for all scripts: the rules, and the Python twin of `native/words.cpp`.

A text is cut at whitespace (`str.split`) into chunks. Of a chunk

1.  runs of scripts that write no spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese) are cut by ICU's dictionaries;
2.  at both ends punctuation and symbols come off, a word each, `...` and `''` as one. A single period at the end stays
    where it belongs to the word: `Mr.`, `U.S.`, `e.g.`, `J.`. So come off `'s`, `n't`, `'ll`, `'re`, `'ve`, `'d` and
    `'m`;
3.  what is left is cut inside: at ellipses and pictures, at hyphens and dashes after a letter or digit and before a
    letter, at `: < > = /` there, at a comma between letters, at a period between a small letter and a capital, at `+ - *
    ^` between digits. What looks like a URL or an e-mail address stays whole.

So are words cut by the English rules of the tokenizers whose words the published filters count (spaCy's, close to the Penn
Treebank's): that is what the thresholds were made for, and what docs/corpora_rules.md compares with.

Every word is `(start, end, flags)` in characters; the flags say whether it has a letter or digit (else it is punctuation
and symbols), whether it has an alphabetic character, whether it ends a sentence, whether it is all punctuation.
"""

from __future__ import annotations

import functools
import itertools
import re
import sys
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Sequence

from megatron_ext.arguments.problems import UserError

# What a character is to the splitter; native/analysis.h has the same.
SPACE, LETTER, NUMBER, ALPHA, LOWER, UPPER, PUNCTUATION, SYMBOL, EDGE, ICON, END, UNSPACED, QUOTE, HYPHEN = (
    1 << bit for bit in range(14)
)
HAS_WORD, HAS_ALPHA, ENDS, ALL_PUNCTUATION = 1, 2, 4, 8

ABBREVIATIONS = frozenset(
    "Mr Mrs Ms Dr Prof St Mt Jr Gen Gov Adm Rep Rev Sen Messrs Bros Co Corp Inc Ltd co vs Jan Feb Mar Apr Jun Jul Aug Sep Sept "
    "Oct Nov Dec Ala Ariz Ark Calif Colo Conn Del Fla Ga Ia Ill Ind Kan Kans Ky La Mass Md Mich Minn Miss Mo Mont Neb Nebr "
    "Nev Okla Ore Pa Tenn Va Wash Wis".split()
)
"""With a period, one word; of at most 8 bytes."""

_COUNTED = 0x20000  # of these code points there is a table
_STAYS_AT_THE_ENDS = frozenset("-./\\@~^|+\u2010\u2011")
_HYPHENS = frozenset("-\u2010\u2011–—~")
_QUOTES = frozenset("'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉⟦⟧")
_CHOOSES_HOW = frozenset(map(chr, range(0xFE00, 0xFE10)))  # the one before is drawn: no mark on it
_WITHOUT_SPACES = (  # Thai, Lao, Burmese, Khmer; signs of Chinese and Japanese, kana, Han ideographs, narrow kana
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F)),
    *((0x3005, 0x3007), (0x3021, 0x3029), (0x3031, 0x3035), (0x303B, 0x303C), (0x3041, 0x309F), (0x30A1, 0x30FF)),
    *((0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x1B000, 0x1B16F)),
)


def characters_below(end: int) -> str:
    """All characters below a code point, but for surrogates, which no text has."""
    codes = array("I", range(end)).tobytes()
    return (codes[: 4 * 0xD800] + codes[4 * 0xE000 :]).decode(f"utf-32-{sys.byteorder[0]}e")


@functools.cache
def kinds() -> array:
    """The kind of every code point below 0x20000. Every process makes it anew, so what all of a category share is asked once."""
    import regex

    everything = characters_below(_COUNTED)
    categories = list(map(unicodedata.category, everything))
    shared = {category: _kind_of_category(category) for category in set(categories)}
    table = array("H", map(shared.__getitem__, categories))
    table[0xD800:0xD800] = array("H", bytes(2 * 0x800))
    for character in {*_STAYS_AT_THE_ENDS, *_HYPHENS, *_QUOTES, *_CHOOSES_HOW, *re.findall(r"\s", everything)}:
        table[ord(character)] = _kind(character, unicodedata.category(character))
    for begin, end in _WITHOUT_SPACES:
        for code in range(begin, end + 1):
            if table[code] & (LETTER | NUMBER):
                table[code] |= UNSPACED
    for character in regex.findall(r"\p{Sentence_Terminal}", everything):
        table[ord(character)] |= END
    return table


def _kind_of_category(category: str) -> int:
    if category[0] == "L":
        return ALPHA | LETTER | LOWER * (category not in ("Lu", "Lt")) | UPPER * (category != "Ll")
    if category[0] in "PS":
        return (PUNCTUATION if category[0] == "P" else SYMBOL) | EDGE | ICON * (category == "So")
    return {"M": LETTER, "N": NUMBER}.get(category[0], 0)


def _kind(character: str, category: str) -> int:
    kind = 0 if character in _CHOOSES_HOW else _kind_of_category(category)
    kind &= ~EDGE if character in _STAYS_AT_THE_ENDS else -1
    return kind | SPACE * character.isspace() | QUOTE * (character in _QUOTES) | HYPHEN * (character in _HYPHENS)


def kind_of(character: str) -> int:
    code = ord(character)
    if code < _COUNTED:
        return kinds()[code]
    return LETTER | ALPHA | LOWER | UPPER | UNSPACED if code < 0x40000 and character.isalpha() else 0


def runs(text: str) -> str | None:
    """The runs of a text that are written without spaces, a line each; None where there is none."""
    grouped = itertools.groupby(text, lambda character: kind_of(character) & UNSPACED)
    return "\n".join("".join(run) for without_spaces, run in grouped if without_spaces) or None


def lengths(runs: str) -> array:
    """How many characters each word of these runs has, by ICU. UserError: icu4py is not installed."""
    try:
        from icu4py.breakers import WordBreaker
    except ImportError:
        raise UserError(
            "a text in Chinese, Japanese, Thai, Lao, Khmer or Burmese cannot be cut into words without the package icu4py; "
            "install it: pip install 'megatron-ext[data]'"
        ) from None
    return array("I", [len(word) for word in WordBreaker(runs, "") if word != "\n"])


def split(text: str, cuts: Iterable[int] = ()) -> list[tuple[int, int, int]]:
    """The words of a text, `(start, end, flags)`; `cuts` are the lengths of those in runs without spaces."""
    words, cuts, start = [], iter(cuts), 0
    kind = [kind_of(character) for character in text]
    for manner, group in itertools.groupby(kind, lambda kind: kind & (SPACE | UNSPACED)):
        end = start + sum(1 for _ in group)
        if manner & UNSPACED:
            words += _unspaced(kind, start, end, cuts)
        elif not manner:
            words += _Chunk(text[start:end], kind[start:end], start).words()
        start = end
    return words


def _unspaced(kind: Sequence[int], start: int, end: int, cuts: Iterator[int]) -> Iterator[tuple[int, int, int]]:
    while start < end:
        stop = min(start + next(cuts, end - start), end)
        alphabetic = any(kind[place] & ALPHA for place in range(start, stop))
        yield start, stop, HAS_WORD | HAS_ALPHA * alphabetic
        start = stop


class _Chunk:
    """A stretch between spaces of one manner of writing, being cut into words."""

    def __init__(self, text: str, kind: Sequence[int], offset: int):
        self.text, self.kind, self.offset = text, kind, offset

    def words(self) -> Iterator[tuple[int, int, int]]:
        begin, end, front, back = 0, len(self.text), [], []
        while begin < end and (taken := self._front(begin, end)):
            front.append(self._word(begin, begin + taken))
            begin += taken
        while begin < end and (taken := self._back(begin, end)):
            back.append(self._word(end - taken, end))
            end -= taken
        return itertools.chain(front, self._middle(begin, end), reversed(back))

    def _word(self, begin: int, end: int) -> tuple[int, int, int]:
        kinds = self.kind[begin:end]
        flags = HAS_WORD * any(kind & (LETTER | NUMBER) for kind in kinds) | HAS_ALPHA * any(kind & ALPHA for kind in kinds)
        flags |= ALL_PUNCTUATION * all(kind & PUNCTUATION for kind in kinds)
        flags |= ENDS * (end - begin == 1 and kinds[0] & END > 0)
        return self.offset + begin, self.offset + end, flags

    def _front(self, begin: int, end: int) -> int:
        """How many characters come off at the front."""
        first = self.text[begin]
        if first == ".":
            periods = self._run(begin, end)
            return periods if periods > 1 else 0
        if first == "+":
            return int(begin + 1 == end or not self.kind[begin + 1] & NUMBER)
        if self.kind[begin] & EDGE:
            return 2 if self.text[begin:end].startswith("''") else 1
        return 0

    def _back(self, begin: int, end: int) -> int:
        """How many characters come off at the back."""
        last = self.text[end - 1]
        if last == ".":
            return self._periods(begin, end)
        if last == "+":
            return int(end - begin > 1 and self.kind[end - 2] & NUMBER > 0)
        if last == "=":
            return 0
        if self.kind[end - 1] & EDGE:
            return 2 if self.text[begin:end].endswith("''") else 1
        return self._contraction(begin, end)

    def _contraction(self, begin: int, end: int) -> int:
        tail = self.text[max(begin, end - 4) : end].replace("’", "'")
        tail = "".join(character.lower() if character.isascii() else character for character in tail)
        if len(tail) > 2 and tail.endswith(("'s", "'d", "'m")):
            return 2
        if len(tail) > 3 and tail.endswith("n't"):
            return 3 if self.kind[end - 4] & LETTER else 0
        return 3 if len(tail) > 3 and tail.endswith(("'ll", "'re", "'ve")) else 0

    def _periods(self, begin: int, end: int) -> int:
        word = self.text[begin:end]
        run = len(word) - len(word.rstrip("."))
        if run > 1:
            return run
        initials = len(word) % 2 == 0 and set(word[1::2]) == {"."} and all(kind & LETTER for kind in self.kind[begin:end:2])
        if len(word) == 1 or initials or word[:-1] in ABBREVIATIONS:
            return 0
        before = self.kind[end - 2]
        if before & (NUMBER | LOWER | EDGE) or word[-2] in "+-":
            return 1
        return int(before & UPPER > 0 and len(word) > 2 and self.kind[end - 3] & UPPER > 0)

    def _middle(self, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
        place = end if self._address(begin, end) else begin
        start = begin
        while place < end:
            taken = self._infix(begin, place, end)
            if taken:
                if start < place:
                    yield self._word(start, place)
                yield self._word(place, place + taken)
                start = place + taken
            place += taken or 1
        if start < end:
            yield self._word(start, end)

    def _address(self, begin: int, end: int) -> bool:
        """Whether this looks like a URL or an e-mail address."""
        rest = self.text[begin:end]
        if "@" in rest or (rest.startswith("www.") and len(rest) > 4):
            return True
        scheme, _, host = rest.partition("://")
        return bool(scheme and host) and all(kind & (LETTER | NUMBER) for kind in self.kind[begin : begin + len(scheme)])

    def _infix(self, begin: int, place: int, end: int) -> int:
        """How many characters from here on are a word between two others."""
        character, kind = self.text[place], self.kind[place]
        if kind & (LETTER | NUMBER):
            return 0
        if kind & ICON or character == "…":
            return 1
        run = self._run(place, end) if character == "." or kind & HYPHEN else 1
        if character == "." and run > 1:
            return run
        if place == begin or place + run >= end:
            return 0
        left, right, after = self.kind[place - 1], self.kind[place + run], self.text[place + 1]
        number, letter = left & NUMBER, right & LETTER
        word = number or left & LETTER
        if character == ".":
            return int(left & (LOWER | QUOTE) > 0 and right & (UPPER | QUOTE) > 0)
        if character == ",":
            return int(not number and left & LETTER > 0 and letter > 0)
        if kind & HYPHEN and word and letter:
            return run
        if character in ":<>=/":
            return int(word > 0 and letter > 0)
        return int(character in "+-*^" and number > 0 and (self.kind[place + 1] & NUMBER > 0 or after == "-"))

    def _run(self, place: int, end: int) -> int:
        rest = self.text[place:end]
        return len(rest) - len(rest.lstrip(rest[0]))
