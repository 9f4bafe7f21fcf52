"""A run's moving parts, in one place: what changes with each update and what a checkpoint holds."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from megatron_ext.optim.sharding.contract import Sharding


class Stop(NamedTuple):
    """Why a run stops before its end, the same on all processes: the flag that asked for it, and whether a signal did."""

    why: str
    by_signal: bool = False


@dataclasses.dataclass
class TrainState:
    """Counts are of the whole run, over all processes and all resumes.

    Attributes:
        sharding: model chunks, optimizer and their state.
        iteration: updates tried, the skipped ones included.
        consumed_samples, consumed_tokens: what has been trained on.
        skipped: updates that were not applied, because the gradient was not finite.
        origin: the checkpoint or folder that weights came from, where nothing else did; in no checkpoint.
        stopped_by_signal: whether the run ended before its end since a signal asked for it; in no checkpoint.
    """

    sharding: Sharding
    iteration: int = 0
    consumed_samples: int = 0
    consumed_tokens: int = 0
    skipped: int = 0
    origin: str | None = None
    stopped_by_signal: bool = False

    def counts(self) -> dict:
        """The numbers a checkpoint holds, as JSON has them."""
        scaler = self.sharding.scaler_state()
        return {
            "iteration": self.iteration,
            "consumed_samples": self.consumed_samples,
            "consumed_tokens": self.consumed_tokens,
            "skipped": self.skipped,
            "updates": self.sharding.updates,
            **({"loss_scale": scaler} if scaler else {}),
        }

    def set_counts(self, counts: dict) -> None:
        """Go on from the numbers of a checkpoint. The optimizer's own count of updates is set with its state."""
        self.iteration, self.skipped = counts["iteration"], counts["skipped"]
        self.consumed_samples, self.consumed_tokens = counts["consumed_samples"], counts["consumed_tokens"]
