"""What an n-gram is made of: `spaced` gives a text with its units between spaces, line by line; a line is a sentence.

words       runs of letters and digits; each sign, and each letter of a script that sets no spaces (Han, kana, Thai, Lao, Khmer,
            Burmese), is a word of its own, so that no dictionary has a say in what Chinese is likely
characters  every character but spaces
pieces      what a tokenizer cuts (CCNet: SentencePiece, arXiv:1911.00359), as ids: a SentencePiece model or tokenizer.json

`normalize`, as in CCNet: lower case, and 0 for every digit, so that dates and prices do not count against a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from megatron_ext.arguments.problems import UserError

UNITS = ("words", "characters", "pieces")
_ALONE = re.compile(
    "[^\\w\\s]|[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)


def make(units: str, normalize: bool, tokenizer: str | None) -> Callable[[str], str]:
    """`spaced` of one of UNITS: besides line ends, its only spaces are " ". UserError: the tokenizer's file is none."""
    table = _Table(units, normalize)
    if units != "pieces":
        return lambda text: text.translate(table)
    cut = _pieces(str(tokenizer))
    return lambda text: cut(text.translate(table))


class _Table(dict):
    """What stands for each character, found when it is first seen: three times as fast as substitution by expressions."""

    def __init__(self, units: str, normalize: bool):
        self._units, self._normalize = units, normalize

    def __missing__(self, code: int) -> str:
        character = found = chr(code)
        if character == "\0" or (character.isspace() and character != "\n"):
            found = " "  # kenlm takes a NUL for a word's end, in a model's file
        elif self._normalize:
            found = "0" if character.isdecimal() else character.lower()
        if not found.isspace() and (self._units == "characters" or (self._units == "words" and _ALONE.match(character))):
            found = f" {found} "
        self[code] = found
        return found


def _pieces(path: str) -> Callable[[str], str]:
    try:
        with open(path, "rb") as file:
            content = file.read()
        if content.lstrip()[:1] == b"{":
            from tokenizers import Tokenizer

            loaded = Tokenizer.from_str(content.decode())
            encode = lambda lines: [found.ids for found in loaded.encode_batch(lines, add_special_tokens=False)]
        else:
            from sentencepiece import SentencePieceProcessor

            processor = SentencePieceProcessor(model_proto=content)
            encode = lambda lines: processor.encode(lines, out_type=int, num_threads=1)
    except Exception as error:  # both libraries raise what they like
        raise UserError(f"{path}: is neither a tokenizer.json nor a SentencePiece model ({error})") from None
    return lambda text: "\n".join(" ".join(map(str, ids)) for ids in encode(text.split("\n")))
