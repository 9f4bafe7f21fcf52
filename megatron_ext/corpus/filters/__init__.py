"""One file a rule: what a document must be to be kept. `--filters language gopher_quality …` runs them in that order.

Each file offers

Flags       its group of flags, one a threshold, each named after the file (`gopher_quality_min_words`); light to import
REASONS     {reason: how a person reads it}, for every reason that it drops for; reasons are unique in the room
NUMBERS     names of what it measures in each document, for the receipt's distributions ("words", "mean word length")
EDITS       whether it may change a text that it keeps (C4 takes lines out)
ADDS        keys that it may write into a record by `Document.set`; left out where it writes none
Filter(c)   made once in each worker from the flat configuration; called with a `Document`, it gives a `Verdict`

A filter is a function of its flags and of one document. What several measure (words, lines) is computed once a document and
text, by `corpus/analysis.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple


class Verdict(NamedTuple):
    """What a filter says of a document.

    Attributes:
        reason: of REASONS, why it is dropped; None: kept.
        detail: what was found beside what is asked for: `12 words, at least 50`.
        numbers: what was measured, in the order of NUMBERS, as far as it was; NaN where it does not apply.
        text: what the text becomes, where the filter edits; None: it stays.
    """

    reason: str | None = None
    detail: str = ""
    numbers: Sequence[float] = ()
    text: str | None = None


class Bound(NamedTuple):
    """A threshold: which flag gives it, which of NUMBERS it holds for, and why what lies beyond it is dropped."""

    flag: str
    number: str
    reason: str

    @property
    def least(self) -> bool:
        return "_min_" in self.flag


class Judge:
    """Compares a document's numbers with thresholds, in their order; what is NaN lies beyond none."""

    def __init__(self, bounds: Sequence[Bound], names: Sequence[str], c: Any):
        self._bounds = [(names.index(bound.number), bound.least, getattr(c, bound.flag), bound) for bound in bounds]

    def __call__(self, numbers: Sequence[float]) -> Verdict:
        for place, least, limit, bound in self._bounds:
            value = numbers[place]
            if value < limit if least else value > limit:
                detail = f"{bound.number}: {value:.4g}, {'at least' if least else 'at most'} {limit:g}"
                return Verdict(bound.reason, detail, numbers)
        return Verdict(numbers=numbers)


def ratio(part: float, whole: float) -> float:
    """NaN where there is nothing to have a part of."""
    return part / whole if whole else math.nan
