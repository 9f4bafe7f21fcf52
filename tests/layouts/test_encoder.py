"""An encoder with its heads equals one process on every layout."""

from __future__ import annotations

import functools

import pytest

from tests import texts
from tests.layouts.test_layouts import CP2, PP2, RECOMPUTE, TP2, VIRTUAL, compare
from tests.layouts.training_case import outcome

RUN = (
    "--preset tiny --mock-data --tokenizer-type huggingface --train-iters 6 --global-batch-size 4 --seq-length 48 --lr 3e-4 "
    "--objective masked_lm --adam-eps 1e-6 --normalization layernorm --num-query-groups 4"
).split()
MODELS = {
    "bert": (
        "--position-embedding-type learned_absolute --norm-placement post --embedding-norm --add-bias-linear --add-output-bias "
        "--activation gelu --sentence-task sentence_order"
    ).split(),
    "t5's encoder": (
        "--position-embedding-type t5_bias --relative-attention-num-buckets 8 --num-tokentypes 2 --z-loss-coeff 0.01"
    ).split(),
}
LAYOUTS = {
    "TP2": (2, TP2),
    "TP2+SP": (2, [*TP2, "--sequence-parallel"]),
    "PP2": (2, PP2),
    "PP2x2": (2, [*PP2, *VIRTUAL]),
    "DP2+ZeRO1": (2, ["--zero-stage", "1"]),
    "TP2.PP2": (4, [*TP2, *PP2]),
    "CP2.TP2+SP": (4, [*CP2, *TP2, "--sequence-parallel"]),
    "TP2+SP.PP2x2+recomputed": (4, [*TP2, *PP2, *VIRTUAL, "--sequence-parallel", *RECOMPUTE]),
    "PP2.DP2+ZeRO1+overlap": (4, [*PP2, "--zero-stage", "1", "--overlap-grad-reduce", "--overlap-param-gather"]),
}
CASES = [("bert", layout) for layout in LAYOUTS] + [("t5's encoder", "TP2+SP"), ("t5's encoder", "CP2.TP2+SP")]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Flags of all runs, with a tokenizer that has [MASK]."""
    return [*RUN, "--tokenizer-model", texts.write_tokenizer_with_control_tokens(tmp_path_factory.mktemp("tokenizer"), 600)]


@pytest.fixture(scope="module")
def references(pool, run, tmp_path_factory):
    """The run on one process, for each model that is asked for."""

    @functools.cache
    def alone(model):
        argv = [*run, *MODELS[model], "--micro-batch-size", "2"]
        return outcome(pool, argv, 1, tmp_path_factory.mktemp("reference"))

    return alone


@pytest.mark.parametrize(("model", "layout"), CASES)
def test_layout_equals_one_process(model, layout, pool, run, references, tmp_path):
    world_size, flags = LAYOUTS[layout]
    argv = [*run, *MODELS[model], "--micro-batch-size", "1" if "DP2" in layout else "2", *flags]
    found = outcome(pool, argv, world_size, tmp_path)
    compare(found, references(model), updates=6)
    for record in found.records if model == "bert" else ():
        assert record["words_loss"] + record["sentence_loss"] == pytest.approx(record["loss"], rel=1e-6)
        assert 0 <= record["sentence_accuracy"] <= 1 and record["sentence_loss"] == pytest.approx(0.7, abs=0.3)
