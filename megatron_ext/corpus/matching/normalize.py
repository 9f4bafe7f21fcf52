"""What counts as the same text: differences that two copies may have and still be copies.

A text is brought to Unicode's NFKC (full-width letters, ligatures, composed accents); then each code point gives way to the
one that stands for it, by a table: letters to their folded case, punctuation and symbols to a space, what is never seen
(soft hyphens, zero-width spaces) to nothing; then whitespace becomes one space, and none at the ends. Each step can be left
out. A letter whose folded form is several letters (ß) is only made small, so that the table has one code point for each.

`normalize` gives the text so; signatures (`minhash.py`) take the same way within C++ and never hold it. Reason for own code:
Python's `translate` and `split` reach 11 MB/s of English, a tenth of what the whole way to a signature does.
"""

from __future__ import annotations

import dataclasses
import functools
import unicodedata
from array import array
from collections.abc import Iterable, Iterator

from megatron_ext.corpus import words

CODES = 0x20000
"""Of the code points below there is a table; those above stay as they are."""

DROPPED = 0xFFFFFFFF


@dataclasses.dataclass(frozen=True)
class Normalization:
    """Which differences do not count."""

    unicode: bool = True
    """Of form: NFKC, and no characters that are never seen."""
    case: bool = True
    """Of capitals and small letters."""
    punctuation: bool = True
    """Of punctuation and symbols: they part words and are nothing else."""
    whitespace: bool = True
    """Of how much whitespace there is, and which. Where shingles are of words, it never counts."""

    @classmethod
    def of(cls, ignored: Iterable[str]) -> Normalization:
        """From the words of --dedup-ignore."""
        return cls(**{field.name: field.name in tuple(ignored) for field in dataclasses.fields(cls)})


DEFAULT = Normalization()


def unicode_form(text: str, same: Normalization) -> str:
    """The first step, which stays in Python: its C is fast where there is nothing to do."""
    return text if not same.unicode or text.isascii() else unicodedata.normalize("NFKC", text)


@functools.cache
def table(same: Normalization) -> array:
    """What stands for each code point; DROPPED: nothing does."""
    import regex

    everything = words.characters_below(CODES)
    found = array("I", range(CODES))
    if same.case:
        for character in _cased(everything):
            folded = [form for form in (character.casefold(), character.lower()) if len(form) == 1]
            found[ord(character)] = ord(folded[0]) if folded else ord(character)
    if same.punctuation:
        marks = words.PUNCTUATION | words.SYMBOL
        for code in [code for code, kind in enumerate(words.kinds()) if kind & marks]:
            found[code] = ord(" ")
    if same.unicode:
        for character in regex.findall(r"\p{Default_Ignorable_Code_Point}", everything):
            found[ord(character)] = DROPPED
    return found


def _cased(characters: str, block: int = 256) -> Iterator[str]:
    """Those that may have another case: of blocks without one nothing is asked further."""
    for at in range(0, len(characters), block):
        some = characters[at : at + block]
        if some.casefold() != some or some.lower() != some:
            yield from some


@functools.cache
def formed() -> bytes:
    """A byte for each code point: whether NFKC changes it, or may change what stands beside it."""
    import regex

    pattern = regex.compile(r"[\p{NFKC_Quick_Check=No}\p{NFKC_Quick_Check=Maybe}\P{Canonical_Combining_Class=0}]")
    found = bytearray(CODES)
    for character in pattern.findall(words.characters_below(CODES)):
        found[ord(character)] = 1
    return bytes(found)


@functools.cache
def _translation(same: Normalization) -> dict[int, int | None]:
    return {code: None if new == DROPPED else new for code, new in enumerate(table(same)) if code != new}


def fold(text: str, same: Normalization) -> str:
    """The second step and the third, of a text that took the first: the twin of `Fold` in `native/shingles.h`."""
    folded = text.translate(_translation(same))
    return " ".join(folded.split()) if same.whitespace else folded
