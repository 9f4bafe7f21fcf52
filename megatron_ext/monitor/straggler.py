"""Time by process: one that is slower than those with the same work holds all others up, update after update.

Busy time (`backend/busy.py`) is gathered from all processes at each record. A process is compared with the median of its
pipeline stage, where all do the same work, or of the whole run where it is alone in its stage: then a stage with more to
do shows too. From SLOW times the median on the console has a word about it.
"""

from __future__ import annotations

import statistics
from typing import NamedTuple

import torch

SLOW = 1.5


class BusyTimes(NamedTuple):
    """Busy seconds of an update over all processes, and the process that is slowest for its work."""

    busy_seconds_min: float
    busy_seconds_median: float
    busy_seconds_max: float
    slowest_rank: int
    slowest_factor: float


def gather(seconds: float, layout, device: torch.device) -> BusyTimes:
    """Collective: every process gives its own busy seconds."""
    ours = torch.tensor([seconds], dtype=torch.float32, device=device)
    everybodys = [torch.empty_like(ours) for _ in range(layout.world_size)]
    torch.distributed.all_gather(everybodys, ours)
    return judge([each.item() for each in everybodys], layout.pipeline)


def judge(seconds: list[float], stages: int) -> BusyTimes:
    """Ranks of a stage follow each other. The median of two is the smaller one: the other may be the slow one."""
    each = len(seconds) // stages
    factors = []
    for rank, own in enumerate(seconds):
        peers = seconds[rank // each * each : rank // each * each + each] if each > 1 else seconds
        factors.append(own / max(statistics.median_low(peers), 1e-9))
    slowest = max(range(len(seconds)), key=factors.__getitem__)
    return BusyTimes(min(seconds), statistics.median(seconds), max(seconds), slowest, factors[slowest])
