"""Processes that share samples equal one: who sees whom by positions, in turn on CP2, CP2·TP2 and CP2·PP2."""

from __future__ import annotations

import pytest

from megatron_ext.arguments.registry import Registry
from tests.layouts.test_layouts import CP2, PP2, TP2, compare
from tests.layouts.training_case import outcome

RUN = (
    "--preset tiny --num-layers 2 --hidden-size 32 --ffn-hidden-size 64 --mock-data --vocab-size 200 --train-iters 3 "
    "--global-batch-size 4 --micro-batch-size 2 --seq-length 32 --lr 3e-4"
).split()
SEEN = {
    "causal": [],
    "window": ["--attention-pattern", "sliding_window", "causal", "--sliding-window", "7"],
    "documents": ["--reset-attention-mask", "--reset-position-ids"],
}
LAYOUTS = {"CP2": (2, CP2), "CP2.TP2+SP": (4, [*CP2, *TP2, "--sequence-parallel"]), "CP2.PP2": (4, [*CP2, *PP2])}
POSITIONS = sorted(Registry("megatron_ext.models.positions"))
REFUSED = {("window", "transformer_xl")}  # by name: tests/models/positions/test_transformer_xl.py
# A Latin square: every two of pattern, position and layout meet.
CASES = [
    (seen, position, list(LAYOUTS)[(row + column) % 3])
    for row, seen in enumerate(SEEN)
    for column, position in enumerate(POSITIONS)
    if (seen, position) not in REFUSED
]


@pytest.mark.parametrize(("seen", "position", "layout"), CASES)
def test_equals_one_process(seen, position, layout, pool, tmp_path):
    flags = [*RUN, *SEEN[seen], "--position-embedding-type", position]
    world_size, spread = LAYOUTS[layout]
    shared, alone = outcome(pool, [*flags, *spread], world_size, tmp_path / "shared"), outcome(pool, flags, 1, tmp_path / "alone")
    compare(shared, alone, updates=3)


OF_THEIR_OWN = ("alibi", "rope", "t5_bias", "transformer_xl")  # the others are added to the embedding, or nothing is


@pytest.mark.parametrize("position", [pytest.param(p, marks=[] if p in OF_THEIR_OWN else [pytest.mark.full]) for p in POSITIONS])
def test_16_bits_and_recomputation_stay_near_one_process_in_32(position, pool, tmp_path):
    flags = [*RUN, *SEEN["documents"], "--position-embedding-type", position]
    world_size, spread = LAYOUTS["CP2.TP2+SP"]
    rough = outcome(pool, [*flags, *spread, "--bf16", "--recompute-granularity", "full"], world_size, tmp_path / "shared")
    fine = outcome(pool, flags, 1, tmp_path / "alone")
    for key, within in (("loss", 2e-3), ("grad_norm", 2e-2)):
        found, expected = ([record[key] for record in run.records] for run in (rough, fine))
        assert len(found) == 3 and found == pytest.approx(expected, rel=within), key
