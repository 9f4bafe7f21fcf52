"""What an objective makes of a document, and what it needs to know for that."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from megatron_ext.arguments.problems import UserError

NO_LABEL = -1


class Pair(NamedTuple):
    """Attributes, int64 each:

    inputs: tokens that are given: what an encoder, or a prefix, sees both ways.
    labels: what is to be predicted, one after another.
    fed: tokens that are given to predict the labels, each from the one at its place; None: the labels themselves, one place on.
    positions: of `inputs` and `fed` together; None: 0, 1, 2 …
    """

    inputs: np.ndarray
    labels: np.ndarray
    fed: np.ndarray | None = None
    positions: np.ndarray | None = None


NOTHING = np.empty(0, np.int64)


class Asked(NamedTuple):
    """What a model is asked with: the pair that training would make of a document whose part in question is empty, up to there.

    Attributes:
        inputs, fed, positions: as a Pair's; `fed` up to the token that the first label asked for is predicted from.
        begun: labels that are there.
        ends: tokens that end the answer, besides the one that ends a document.
        until: tokens that the model may write behind the answer.
    """

    inputs: np.ndarray
    begun: np.ndarray = NOTHING
    fed: np.ndarray | None = None
    positions: np.ndarray | None = None
    ends: Sequence[int] = ()
    until: np.ndarray = NOTHING

    @property
    def pair(self) -> Pair:
        """With one label that is not there."""
        return Pair(self.inputs, np.append(self.begun, NO_LABEL), self.fed, self.positions)


@dataclasses.dataclass(frozen=True)
class Setting:
    """Attributes:
    flags: the objective's, a frozen group or what has its fields.
    tokenizer: the run's.
    """

    flags: Any
    tokenizer: Any

    @property
    def eod(self) -> int:
        return self.tokenizer.eod

    def control(self, *names: str) -> list[int]:
        """The ids of control tokens. UserError names those that the tokenizer has not."""
        known = self.tokenizer.control_tokens
        missing = [name for name in names if name not in known]
        if missing:
            shown = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
            raise UserError(
                f"--objective {self.flags.objective}: needs control tokens that the tokenizer has not: {shown}; "
                "train one with --special-tokens (tools/train_tokenizer.py)"
            )
        return [known[name] for name in names]


def whole(ids: np.ndarray, eod: int) -> np.ndarray:
    """A document without the token that ends it."""
    return ids[:-1] if len(ids) and ids[-1] == eod else ids
