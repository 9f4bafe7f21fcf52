"""What `--data-path` and its like say: prefixes of .bin/.idx pairs, with weights or without (Megatron-LM's form).

A               one data set
A B             several, each by its size
0.7 A 0.3 B     several, by weight; weights need not add up to 1
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from fractions import Fraction


@dataclasses.dataclass(frozen=True)
class Weighted:
    """A prefix, and its weight where one is given. Weights are exact: 0.7 is 7/10."""

    prefix: str
    weight: Fraction | None


def parse(words: Sequence[str]) -> list[Weighted]:
    """The data sets that `words` name; ValueError says what is wrong with them."""
    if not words:
        raise ValueError("names no data set")
    if all(_number(word) is None for word in words):
        found = [Weighted(word, None) for word in words]
    elif len(words) % 2:
        raise ValueError(
            f"has {len(words)} words, and weights and prefixes come in pairs: WEIGHT PREFIX WEIGHT PREFIX … "
            "(a prefix that looks like a number is written ./1)"
        )
    else:
        found = [Weighted(prefix, _weight(word, prefix)) for word, prefix in zip(words[::2], words[1::2], strict=True)]
    prefixes = [each.prefix for each in found]
    for prefix in prefixes:
        if prefixes.count(prefix) > 1:
            raise ValueError(f"names {prefix} twice; name it once, with the sum of its weights")
    return found


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _weight(word: str, prefix: str) -> Fraction:
    number = _number(word)
    if number is None:
        raise ValueError(f"has {word} where a weight should stand, before {prefix}")
    if _number(prefix) is not None:
        raise ValueError(f"has {prefix} where a prefix should stand, after the weight {word}; write ./{prefix} if it is one")
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"gives {prefix} the weight {word}; a weight is a number above 0")
    if number == 0:
        raise ValueError(f"gives {prefix} the weight {word}, so nothing of it would be read; leave it out")
    return Fraction(word)


def split_shares(split: str) -> list[float]:
    """`"969,30,1"` → [969.0, 30.0, 1.0]; quotes around it, which one of Megatron-LM's scripts leaves in, are passed over."""
    return [float(share) for share in split.strip("'\"").replace("/", ",").split(",")]
