r"""How good scores are, and the threshold from which on a document counts as of the scored class.

    precision = right / said      recall = right / all of the class      F1 = 2 · precision · recall / (precision + recall)

A threshold lies half-way between two neighbouring scores. Of those that serve equally well, the one nearest 0.5 is taken.
Precision holds for the shares of the classes among these documents: where the class is rarer, it is lower.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from megatron_ext.arguments.problems import UserError


class Figures(NamedTuple):
    precision: float
    recall: float
    f1: float


def figures(scores: Sequence[float], scored: Sequence[bool], threshold: float) -> Figures:
    """Of documents with these scores, `scored` where they are of the class."""
    said, true = np.asarray(scores) >= threshold, np.asarray(scored, bool)
    right = int((said & true).sum())
    precision = right / max(int(said.sum()), 1)
    recall = right / max(int(true.sum()), 1)
    return Figures(precision, recall, 2 * right / max(int(said.sum() + true.sum()), 1))


def choose(scores: Sequence[float], scored: Sequence[bool], goal: str, target: float | None) -> float:
    """The threshold for a goal: "f1", "precision" or "recall". UserError: none reaches the target."""
    thresholds, precision, recall, f1 = _curve(np.asarray(scores, float), np.asarray(scored, bool))
    first, second, fits = f1, f1, np.ones(len(f1), bool)
    if goal != "f1":
        aimed, first = (precision, recall) if goal == "precision" else (recall, precision)
        second, fits = aimed, aimed >= target
        if not fits.any():
            at = int(np.argmax(aimed))
            reached = f"{aimed[at]:.3f} is the highest, at {thresholds[at]:.3f}"
            raise UserError(f"--target {target:g}: no threshold has this {goal} on {len(scores):,} held-out documents; {reached}")
    order = np.lexsort((-abs(thresholds - 0.5), second, first, fits))
    return float(thresholds[order[-1]])


def _curve(scores: np.ndarray, scored: np.ndarray) -> tuple[np.ndarray, ...]:
    """`(thresholds, precision, recall, F1)`, a threshold for each different score that something is said to be at."""
    order = np.argsort(-scores, kind="stable")
    ordered, right = scores[order], np.cumsum(scored[order])
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))  # the last document of each different score
    below = np.append(ordered[last[1:]], 0.0)
    right, said, whole = right[last], last + 1, int(scored.sum())
    return (ordered[last] + below) / 2, right / said, right / whole, 2 * right / (said + whole)


def rounded(found: Figures) -> dict[str, Any]:
    return {name: round(value, 4) for name, value in found._asdict().items()}
