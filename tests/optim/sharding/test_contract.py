"""What an update does to which parameters."""

from __future__ import annotations

import pytest

from tests.layouts.training_case import outcome

BASE = ["--preset", "tiny", "--num-layers", "2", "--vocab-size", "200", "--seq-length", "16", "--global-batch-size", "4",
        "--micro-batch-size", "2", "--mock-data", "--train-iters", "1", "--weight-decay", "0", "--lr", "1e-3",
        "--lr-warmup-iters", "0", "--lr-decay-style", "constant", "--position-embedding-type", "learned_absolute",
        "--decoupled-lr", "1e-2"]  # fmt: skip
LAYOUTS = {
    "one": (1, ["--untie-embeddings-and-output-weights"]),
    "tied.PP2": (2, ["--pipeline-model-parallel-size", "2"]),
    "TP2": (2, ["--untie-embeddings-and-output-weights", "--tensor-model-parallel-size", "2"]),
    "bf16.DP2+ZeRO1": (2, ["--untie-embeddings-and-output-weights", "--zero-stage", "1", "--bf16"]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_embedding_and_output_learn_at_their_own_rate(layout, pool, tmp_path):
    """Adam's first step is the learning rate in every number whose gradient is not nearly zero."""
    world_size, flags = LAYOUTS[layout]
    run = outcome(pool, [*BASE, *flags], world_size, tmp_path)
    own = {"embedding.word_embeddings.weight", "output_layer.weight"} & run.final.keys()
    assert len(own) == (2 if "--untie-embeddings-and-output-weights" in flags else 1)
    for name, tensor in run.final.items():
        assert (tensor - run.initial[name]).abs().max() == pytest.approx(1e-2 if name in own else 1e-3, rel=0.01), name
    assert run.records[0]["learning_rate"] == 1e-3
