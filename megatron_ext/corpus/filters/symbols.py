"""Is it writing, or signs: the share of punctuation and of symbols in what can be seen.

punctuation = characters of Unicode's categories P… / characters that are no whitespace; symbols the same with S…
(currency, mathematics, pictures). The rule looks at no word and so holds for every script. It is the "special characters"
rule of ROOTS (arXiv:2303.03915) in two parts, without digits and whitespace, which say little of their own. Defaults,
ours: in the quickstart's corpus no article and no chapter comes near them; tables, markup and most source code lie
beyond.
"""

from __future__ import annotations

from typing import Any

from megatron_ext.arguments.flags import flag, flag_group
from megatron_ext.corpus.filters import Bound, Judge, Verdict, ratio

EDITS = False


@flag_group("symbols", "Rule symbols: is it writing, or signs")
class Flags:
    symbols_max_punctuation: float = flag(0.2, "largest share of punctuation in visible characters", least=0, most=1, front=True)
    symbols_max_symbols: float = flag(0.1, "largest share of symbols in visible characters", least=0, most=1)


REASONS = {"symbols_punctuation": "too much punctuation", "symbols_symbols": "too many symbols"}
NUMBERS = ("share of punctuation", "share of symbols")
BOUNDS = (
    Bound("symbols_max_punctuation", "share of punctuation", "symbols_punctuation"),
    Bound("symbols_max_symbols", "share of symbols", "symbols_symbols"),
)


class Filter:
    def __init__(self, c: Any):
        self.judge = Judge(BOUNDS, NUMBERS, c)

    def __call__(self, document: Any) -> Verdict:
        found = document.analysis.symbols
        return self.judge((ratio(found.punctuation, found.visible), ratio(found.symbols, found.visible)))
