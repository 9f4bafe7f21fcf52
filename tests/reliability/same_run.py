"""Whether two folders hold the same run, bit by bit: every record, and every number of the newest checkpoint."""

from __future__ import annotations

import json
import pathlib

import torch

from tests.checkpoint.saved_run import restored, tensors
from tests.training.test_resume import same_training


def records(folder: pathlib.Path) -> list[dict]:
    """The run's records, without what the clock decides; none where there is no file yet."""
    path = folder / "metrics.jsonl"
    return [same_training(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def iterations(folder: pathlib.Path) -> list[int]:
    return [record["iteration"] for record in records(folder)]


def state_of(pool, folder: pathlib.Path, argv: list[str]) -> dict[str, torch.Tensor]:
    """Weights and moments of the newest checkpoint, on one process. `argv`: the run's flags without a layout."""
    load = ["--load", str(folder), "--save", f"{folder}.unused"]  # a folder to save to, for flags that ask for one
    (pieces,) = pool.run(restored, 1, load, tensors, argv)
    return {f"{kind} of {place.name}": tensor for place, _, _, held in pieces for kind, tensor in held.items()}


def assert_same_run(pool, ours: pathlib.Path, theirs: pathlib.Path, argv: list[str]) -> None:
    assert records(ours) == records(theirs)
    expected = state_of(pool, theirs, argv)
    found = state_of(pool, ours, argv)
    assert found.keys() == expected.keys() and len(expected) > 10
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name
