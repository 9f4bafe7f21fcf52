"""Distributions as small pictures (SVG): what came to a step in grey, what all rules keep in colour, on one scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from megatron_ext.corpus.cleaning.tally import Distribution

WIDTH, HEIGHT, BARS = 260, 90, 40
_FOOT = 16  # for the labels of the axis


class Scale(NamedTuple):
    """Where values lie on the axis: from `low` to `high`, by logarithm where they span more than two decades."""

    low: float
    high: float
    log: bool

    def bar(self, value: float) -> int:
        if self.high == self.low:
            return BARS // 2
        if self.log:
            share = (_log(value) - _log(self.low)) / (_log(self.high) - _log(self.low))
        else:
            share = (value - self.low) / (self.high - self.low)
        return min(int(max(share, 0.0) * BARS), BARS - 1)


def scale_of(distribution: Distribution) -> Scale:
    """The span of all values but the outermost half percent on each side."""
    low, high = quantile(distribution, 0.005), quantile(distribution, 0.995)
    positive = low >= 0 and high > 0
    return Scale(low, high, positive and high / max(low, 1.0) > 100)


def quantile(distribution: Distribution, share: float) -> float:
    """The value below or at which `share` of the documents lie; NaN without any."""
    total, seen = distribution.counts.total(), 0
    for value in sorted(distribution.counts):
        seen += distribution.counts[value]
        if seen >= share * total:
            return value
    return math.nan


def bars(distribution: Distribution, scale: Scale) -> list[int]:
    """Documents in each of BARS equal parts of the axis; what lies beyond is in the outermost."""
    counts = [0] * BARS
    for value, count in distribution.counts.items():
        counts[scale.bar(value)] += count
    return counts


def chart(before: Distribution, after: Distribution) -> str:
    """The picture; empty where nothing was measured."""
    if not before.counts:
        return ""
    scale = scale_of(before)
    top = max(bars(before, scale)) or 1
    drawn = _drawn(bars(before, scale), top, "before") + _drawn(bars(after, scale), top, "after")
    labels = (
        f'<text x="0" y="{HEIGHT - 3}">{number(scale.low)}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT - 3}" text-anchor="end">{number(scale.high)}</text>'
    )
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">{drawn}{labels}</svg>'


def _drawn(counts: Sequence[int], top: int, kind: str) -> str:
    width, room = WIDTH / BARS, HEIGHT - _FOOT
    found = []
    for place, count in enumerate(counts):
        tall = room * count / top
        if count:
            corner = f'x="{place * width:.1f}" y="{room - tall:.1f}"'
            found.append(f'<rect class="{kind}" {corner} width="{width - 0.5:.1f}" height="{tall:.1f}"/>')
    return "".join(found)


def number(value: float) -> str:
    """As a person reads it: 0.83, 12, 4,100, 1.2 M."""
    if not math.isfinite(value):
        return "–"
    if abs(value) >= 1e6:
        return f"{value / 1e6:,.3g} M" if abs(value) < 1e9 else f"{value / 1e9:,.3g} G"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _log(value: float) -> float:
    return math.log10(max(value, 1.0))
