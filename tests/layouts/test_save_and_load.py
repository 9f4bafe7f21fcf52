"""Saved on any layout, loaded on any other: moments bit by bit, the ten losses that follow to 1e-5.

By default a covering set of pairs (every layout saves once and loads once); all of them with --full.
"""

from __future__ import annotations

import functools
import math

import pytest
import torch

from tests import texts
from tests.checkpoint.saved_run import restored, tensors
from tests.layouts.training_case import outcome

RUN = (
    "--preset tiny --mock-data --vocab-size 300 --train-iters 14 --global-batch-size 4 --micro-batch-size 2 --seq-length 16"
).split()
TP2 = ["--tensor-model-parallel-size", "2"]
LAYOUTS = {
    "TP1": (1, []),
    "TP2": (2, TP2),
    "PP2": (2, ["--pipeline-model-parallel-size", "2"]),
    "PP4": (4, ["--pipeline-model-parallel-size", "4"]),
    "TP2.PP2": (4, [*TP2, "--pipeline-model-parallel-size", "2"]),
    "PP2 of 1+3": (2, ["--pipeline-model-parallel-size", "2", "--decoder-first-pipeline-num-layers", "1"]),
    "DP2": (2, []),
    "DP2+ZeRO1": (2, ["--zero-stage", "1"]),
    "TP2.DP2+ZeRO1": (4, [*TP2, "--zero-stage", "1"]),
    "CP2": (2, ["--context-parallel-size", "2"]),
    "CP2.DP2+ZeRO1": (4, ["--context-parallel-size", "2", "--zero-stage", "1"]),
    "PP2.DP2+ZeRO1": (4, ["--pipeline-model-parallel-size", "2", "--zero-stage", "1"]),
}
EP2, SEQUENCES = ["--expert-model-parallel-size", "2"], ["--sequence-parallel", "--expert-tensor-parallel-size"]
EXPERT_LAYOUTS = {
    "EP2.TP2+SP": (2, [*TP2, *SEQUENCES, "1", *EP2]),
    "EP2.PP2+ZeRO1": (4, ["--pipeline-model-parallel-size", "2", *EP2, "--zero-stage", "1"]),
    "TP2+SP, experts in TP2": (2, [*TP2, *SEQUENCES, "2"]),
}
# Balanced by biases alone, which are no parameters, and with a layer that predicts further, which the last stage holds.
EXPERTS = (
    "--num-layers 2 --num-experts 4 --moe-ffn-hidden-size 64 --moe-router-score-function sigmoid --adam-eps 1e-6 "
    "--moe-router-enable-expert-bias --moe-router-bias-update-rate 0.02 --mtp-num-layers 1"
).split()
ALL = LAYOUTS | EXPERT_LAYOUTS
NAMES = list(LAYOUTS)
DEFAULT = {(NAMES[i], NAMES[(i + 5) % len(NAMES)]) for i in range(len(NAMES))}
EXPERT_PAIRS = [
    ("EP2.TP2+SP", "EP2.PP2+ZeRO1"),
    ("EP2.PP2+ZeRO1", "EP2.TP2+SP"),
    pytest.param("EP2.PP2+ZeRO1", "TP2+SP, experts in TP2", marks=pytest.mark.full),
    pytest.param("TP2+SP, experts in TP2", "EP2.TP2+SP", marks=pytest.mark.full),
]
# What is not a causal decoder, with a tokenizer that has control tokens.
ARCHITECTURES = {
    "encoder": "--objective masked_lm --sentence-task sentence_order --position-embedding-type learned_absolute --embedding-norm",
    "encoder_decoder": (
        "--objective mixture_of_denoisers --encoder-num-layers 1 --decoder-num-layers 3 --encoder-seq-length 64 "
        "--decoder-seq-length 32 --position-embedding-type t5_bias --untie-embeddings-and-output-weights"
    ),
    "prefix_decoder": "--objective blank_infilling --norm-placement deepnorm",
}
ONE, OTHER = ("TP2.PP2", "DP2+ZeRO1"), ("PP2.DP2+ZeRO1", "TP2")
ARCHITECTURE_PAIRS = [("encoder", *ONE), ("encoder_decoder", *OTHER)]
ARCHITECTURE_PAIRS += [
    pytest.param(name, *pair, marks=pytest.mark.full)
    for name in ARCHITECTURES
    for pair in (ONE, OTHER)
    if (name, *pair) not in ARCHITECTURE_PAIRS
]
PAIRS = [pytest.param(a, b, marks=[] if (a, b) in DEFAULT else [pytest.mark.full]) for a in NAMES for b in NAMES]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Flags of a run by its model."""
    own = ["--tokenizer-type", "huggingface", "--tokenizer-model"]
    own += [texts.write_tokenizer_with_control_tokens(tmp_path_factory.mktemp("tokenizer"), 600)]
    tokenized = [word for word in RUN if word not in ("--vocab-size", "300")] + own
    others = {name: [*tokenized, "--adam-eps", "1e-6", *flags.split()] for name, flags in ARCHITECTURES.items()}
    return {"plain": RUN, "experts": [*RUN, *EXPERTS], **others}


@pytest.fixture(scope="module")
def straight(pool, runs, tmp_path_factory):
    """The run on one process that nobody stopped, by its model."""

    return functools.cache(lambda model: outcome(pool, runs[model], 1, tmp_path_factory.mktemp("straight")))


@pytest.fixture(scope="module")
def saved(pool, runs, tmp_path_factory):
    """`saved(model, layout)`: the folder of a run stopped after four updates, and its state read back by one process."""

    @functools.cache
    def of(model, layout):
        world_size, flags = ALL[layout]
        folder = tmp_path_factory.mktemp("saved")
        outcome(pool, [*runs[model], *flags, "--exit-interval", "4"], world_size, folder)
        return folder, whole(pool.run(restored, 1, ["--load", str(folder)], tensors, runs[model]))

    return of


def whole(ranks) -> dict[str, torch.Tensor]:
    """Weights and moments put together from all ranks, by name; what several hold must be the same bit by bit."""
    found: dict[str, torch.Tensor] = {}
    for place, begin, end, held in [piece for rank in ranks for piece in rank]:
        for kind, values in held.items():
            target = found.setdefault(f"{kind} of {place.name}", torch.full(place.shape, math.nan))
            block = target[place.block].reshape(-1)
            known = ~block[begin:end].isnan()
            assert torch.equal(block[begin:end][known], values[known])
            block[begin:end] = values
            target[place.block] = block.reshape(place.local)
    assert not any(tensor.isnan().any() for tensor in found.values())
    return found


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_saved_on_one_and_loaded_on_the_other(before, after, pool, runs, saved, straight, tmp_path):
    moved("plain", before, after, pool, runs, saved, straight, tmp_path)


@pytest.mark.parametrize(("architecture", "before", "after"), ARCHITECTURE_PAIRS)
def test_other_architectures_move_too(architecture, before, after, pool, runs, saved, straight, tmp_path):
    moved(architecture, before, after, pool, runs, saved, straight, tmp_path)


@pytest.mark.parametrize(("before", "after"), EXPERT_PAIRS)
def test_biases_and_further_layers_move_too(before, after, pool, runs, saved, straight, tmp_path):
    run = moved("experts", before, after, pool, runs, saved, straight, tmp_path)
    straight_experts = straight("experts")
    for name, tensor in straight_experts.final.items():
        if name.endswith("expert_bias"):  # steps of 0.02, which may go either way where an expert has just its share
            assert run.final[name].any() and (run.final[name] - tensor).abs().max() <= 1e-6, name
    assert [r["mtp_loss"] for r in run.records] == pytest.approx([r["mtp_loss"] for r in straight_experts.records[4:]], rel=1e-5)


def moved(model, before, after, pool, runs, saved, straight, tmp_path):
    """Assert that a run which changed its layout is the one that did not; what it was from there on."""
    folder, state = saved(model, before)
    (world_size, flags), run = ALL[after], runs[model]
    loaded = whole(pool.run(restored, world_size, [*flags, "--load", str(folder)], tensors, run))
    assert loaded.keys() == state.keys()
    for name, tensor in state.items():
        assert torch.equal(loaded[name], tensor), name
    found = outcome(pool, [*run, *flags, "--load", str(folder)], world_size, tmp_path)
    assert [record["iteration"] for record in found.records] == list(range(5, 15))
    for ours, theirs in zip(found.records, straight(model).records[4:], strict=True):
        for key in ("loss", "grad_norm"):
            assert ours[key] == pytest.approx(theirs[key], rel=1e-5), f"{key} of iteration {ours['iteration']}"
    return found
