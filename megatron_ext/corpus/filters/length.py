"""`--filters length`: how long a document may be, in characters, words and bytes of UTF-8.

Words are what stands between spaces or, where they are more, Han ideographs: a Chinese page without a space is not one word.
The default asks for 200 characters, as mC4 does (arXiv:2010.11934); nothing else is bounded unless it is asked for.
"""

from __future__ import annotations

import math
from typing import Any

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.arguments.problems import Problem, option
from megatron_ext.corpus.filters import Verdict

REASONS = {"length_short": "too short", "length_long": "too long"}
NUMBERS = ("characters", "words", "bytes")
EDITS = False


@flag_group("length", "Rule length: too short or too long")
class Flags:
    length_min_characters: int = flag(200, "characters that a document must have", least=0, front=True)
    length_max_characters: int | None = flag(None, "characters that it may have [no bound]", least=1)
    length_min_words: int = flag(0, "words, or Han ideographs, that it must have", least=0)
    length_max_words: int | None = flag(None, "words, or Han ideographs, that it may have [no bound]", least=1)
    length_min_bytes: int = flag(0, "bytes that it must have", least=0)
    length_max_bytes: int | None = flag(None, "bytes that it may have [no bound]", least=1)

    @staticmethod
    def check(c):
        for unit in NUMBERS:
            least, most = getattr(c, f"length_min_{unit}"), getattr(c, f"length_max_{unit}")
            if most is not None and most < least:
                way_out = f"give at least {least}, or lower --length-min-{unit}"
                yield Problem(option(f"length_max_{unit}"), most, f"is below --length-min-{unit} {least}", way_out)


class Filter:
    def __init__(self, c: Any):
        from megatron_ext.corpus.utf8 import scan

        self._scan = scan
        self._bounds = [
            (unit, getattr(c, f"length_min_{unit}"), getattr(c, f"length_max_{unit}") or math.inf) for unit in NUMBERS
        ]

    def __call__(self, document: Any) -> Verdict:
        text = document.text.encode()
        found = self._scan(text)
        numbers = (found.characters, max(found.words, found.han), len(text))
        for (unit, least, most), number in zip(self._bounds, numbers):
            if number < least:
                return Verdict("length_short", f"{number:,} {unit}, at least {least:,}", numbers)
            if number > most:
                return Verdict("length_long", f"{number:,} {unit}, at most {most:,}", numbers)
        return Verdict(numbers=numbers)
