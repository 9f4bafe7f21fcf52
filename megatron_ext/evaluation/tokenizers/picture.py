"""A comparison as bars (SVG), a row a tokenizer and a column a figure. The same figures give the same file."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

from megatron_ext.evaluation.tokenizers.compare import Comparison
from megatron_ext.evaluation.tokenizers.report import measures_of, percent, shown

ROW, BAR, GAP = 20, 12, 24
PANEL, VALUE = 150, 44
CHARACTER = 6.6  # width of one of the font, about
HEAD = 58
ACROSS = 4
"""Columns side by side; further ones come below them, or a page would show the picture too small."""
COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5", "#9c6b4e", "#9498a0")


class Panel(NamedTuple):
    """A column of bars. Attributes: title: two lines; values: one a tokenizer, None where there is none; zero: bars begin there,
    else at a value below the least, where figures are too near each other to be told apart."""

    title: tuple[str, str]
    values: Sequence[float | None]
    show: Callable[[float], str]
    zero: bool = True
    colour: str = COLOURS[0]


def picture(found: Comparison, alpha: float) -> str:
    """The whole file."""
    panels, names = panels_of(found, alpha), [each.name for each in found.tokenizers]
    left = int(max(map(len, names)) * CHARACTER) + GAP
    width = left + min(len(panels), ACROSS) * (PANEL + VALUE + GAP)
    band = HEAD + ROW * len(names)
    height = band * math.ceil(len(panels) / ACROSS) + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
        "<style>text{font:11px ui-monospace,Menlo,Consolas,monospace;fill:#222}.head{font-weight:bold}.small{fill:#666}</style>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for number, panel in enumerate(panels):
        top, column = band * (number // ACROSS), number % ACROSS
        if column == 0:
            parts += [f'<text x="8" y="{_line(top, row)}">{escape(name)}</text>' for row, name in enumerate(names)]
        parts += _drawn(panel, left + column * (PANEL + VALUE + GAP), top)
    return "\n".join([*parts, "</svg>"]) + "\n"


def panels_of(found: Comparison, alpha: float) -> list[Panel]:
    """Bytes a token by source; what share of documents is kept; models' bits per byte, or the efficiency where there are none."""
    panels = []
    for number, source in enumerate(found.sources):
        values = [measures_of(each, source).bytes_per_token for each in found.tokenizers]
        colour = COLOURS[number % len(COLOURS)]
        panels.append(Panel((f"{source}: bytes a token", "more is shorter"), values, "{:.2f}".format, colour=colour))
    grey = dict(colour=COLOURS[-1])
    whole = [each.whole for each in found.tokenizers]
    panels.append(Panel(("kept documents", "decoded as they were"), [its.lossless for its in whole], percent, **grey))
    if not any(each.model_scores for each in found.tokenizers):  # it foretells what they tell
        values = [its.efficiency(alpha) for its in whole]
        panels.append(Panel((f"Rényi {alpha:g} efficiency", "of all texts"), values, "{:.3f}".format, **grey))
    for number, source in enumerate(shown(found)):
        scores = [each.model_scores.get(source) for each in found.tokenizers]
        if any(scores):
            values = [math.fsum(its) / len(its) if its else None for its in scores]
            colour = COLOURS[number % len(COLOURS)] if source in found.sources else COLOURS[-1]
            title = (f"{source}: model's bits/byte", "less is better; not from 0")
            panels.append(Panel(title, values, "{:.3f}".format, zero=False, colour=colour))
    return panels


def _line(top: int, row: int) -> int:
    """Where a row's text stands."""
    return top + HEAD + ROW * row + BAR - 2


def _drawn(panel: Panel, left: int, top: int) -> list[str]:
    known = [value for value in panel.values if value is not None and math.isfinite(value)]
    low = 0.0 if panel.zero or not known else min(known) - 0.25 * (max(known) - min(known) or 1.0)
    span = max(known, default=1.0) - low or 1.0
    parts = [f'<text class="head" x="{left}" y="{top + 22}">{escape(panel.title[0])}</text>']
    parts.append(f'<text class="small" x="{left}" y="{top + 38}">{escape(panel.title[1])}</text>')
    for row, value in enumerate(panel.values):
        if value is None or not math.isfinite(value):
            parts.append(f'<text class="small" x="{left}" y="{_line(top, row)}">–</text>')
            continue
        wide = PANEL * (value - low) / span
        parts.append(f'<rect x="{left}" y="{top + HEAD + ROW * row}" width="{wide:.1f}" height="{BAR}" fill="{panel.colour}"/>')
        parts.append(f'<text x="{left + wide + 4:.1f}" y="{_line(top, row)}">{escape(panel.show(value))}</text>')
    return parts
