"""An encoder and a decoder in one stack equal one process on every layout, wherever the stack is cut."""

from __future__ import annotations

import functools

import pytest

from tests import texts
from tests.layouts.test_layouts import PP2, PP4, RECOMPUTE, TP2, VIRTUAL, compare
from tests.layouts.training_case import outcome

RUN = (
    "--preset tiny --mock-data --tokenizer-type huggingface --train-iters 6 --global-batch-size 4 --encoder-seq-length 32 "
    "--decoder-seq-length 24 --lr 3e-4 --architecture encoder-decoder --objective span_corruption --adam-eps 1e-6"
).split()
DEPTH = {
    "even": "--encoder-num-layers 2 --decoder-num-layers 2".split(),
    "odd": "--encoder-num-layers 1 --decoder-num-layers 3".split(),
}
MODELS = {
    "t5": (
        "--position-embedding-type t5_bias --relative-attention-num-buckets 8 --softmax-scale 1 --init-method-std 0.1 "
        "--z-loss-coeff 0.01"
    ).split(),
    "umt5": (
        "--position-embedding-type t5_bias --relative-attention-num-buckets 8 --relative-attention-bias-per-layer "
        "--untie-embeddings-and-output-weights"
    ).split(),
    "bart": (
        "--position-embedding-type learned_absolute --norm-placement post --normalization layernorm --embedding-norm "
        "--add-bias-linear --activation gelu --embedding-scale 2 --num-query-groups 4"
    ).split(),
    "deepnorm": "--norm-placement deepnorm --embedding-norm --qk-layernorm".split(),
}
LAYOUTS = {
    "TP2": (2, TP2),
    "TP2+SP": (2, [*TP2, "--sequence-parallel"]),
    "PP2": (2, PP2),
    "PP2x2": (2, [*PP2, *VIRTUAL]),
    "DP2+ZeRO1": (2, ["--zero-stage", "1"]),
    "TP2.PP2": (4, [*TP2, *PP2]),
    "TP2+SP.PP2x2+recomputed": (4, [*TP2, *PP2, *VIRTUAL, "--sequence-parallel", *RECOMPUTE]),
    "PP2.DP2+ZeRO1+overlap": (4, [*PP2, "--zero-stage", "1", "--overlap-grad-reduce", "--overlap-param-gather"]),
    "PP4, embedding and loss alone": (4, [*PP4, "--pipeline-model-parallel-layout", "E|ttt|t|L"]),
}
CASES = [("t5", "even", layout) for layout in LAYOUTS if "alone" not in layout]
CASES += [("bart", "odd", layout) for layout in ("TP2+SP", "TP2+SP.PP2x2+recomputed", "PP4, embedding and loss alone")]
CASES += [("umt5", "odd", "PP2x2"), ("deepnorm", "odd", "TP2+SP.PP2x2+recomputed")]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Flags of all runs, with a tokenizer that has sentinels."""
    return [*RUN, "--tokenizer-model", texts.write_tokenizer_with_control_tokens(tmp_path_factory.mktemp("tokenizer"), 600)]


@pytest.fixture(scope="module")
def references(pool, run, tmp_path_factory):
    """The run on one process, for each model and depth that is asked for."""

    @functools.cache
    def alone(model, depth):
        argv = [*run, *MODELS[model], *DEPTH[depth], "--micro-batch-size", "2"]
        return outcome(pool, argv, 1, tmp_path_factory.mktemp("reference"))

    return alone


@pytest.mark.parametrize(("model", "depth", "layout"), CASES)
def test_layout_equals_one_process(model, depth, layout, pool, run, references, tmp_path):
    world_size, flags = LAYOUTS[layout]
    argv = [*run, *MODELS[model], *DEPTH[depth], "--micro-batch-size", "1" if "DP2" in layout else "2", *flags]
    compare(outcome(pool, argv, world_size, tmp_path), references(model, depth), updates=6)
