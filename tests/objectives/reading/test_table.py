"""The table of what is learnt by what, and where: the page shows it, refusals name the nearest, and what it allows is trained."""

from __future__ import annotations

import itertools
import json
import math
import pathlib

import pytest

from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.objectives.reading.table import LAYOUTS, rows
from megatron_ext.training.configuration import read_configuration
from tests import texts
from tests.layouts.training_case import train_case

PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs" / "objectives.md"
RUN = (
    "--preset tiny --mock-data --tokenizer-type huggingface --train-iters 1 --global-batch-size 4 --micro-batch-size 1 "
    "--normalization layernorm --num-query-groups 4 --untie-embeddings-and-output-weights"
).split()
SHAPES = {
    "causal_decoder": "--num-layers 4 --seq-length 64",
    "prefix_decoder": "--num-layers 4 --seq-length 64",
    "encoder": "--num-layers 4 --seq-length 64",
    "encoder_decoder": "--encoder-num-layers 2 --decoder-num-layers 2 --encoder-seq-length 64 --decoder-seq-length 32",
}
TP2, PP2 = "--tensor-model-parallel-size 2", "--pipeline-model-parallel-size 2"
# What is laid out over four processes, and what of the table it is.
SPREAD = {
    f"{TP2} --sequence-parallel {PP2}": ("TP", "SP", "PP"),
    f"{PP2} --num-virtual-stages-per-pipeline-rank 2 --zero-stage 1": ("PP", "interleaved PP", "DP", "ZeRO-1"),
    "--context-parallel-size 2 --zero-stage 1": ("CP", "DP", "ZeRO-1"),
    f"--num-experts 4 --moe-ffn-hidden-size 64 --expert-model-parallel-size 2 {TP2} --sequence-parallel": (
        "EP",
        "TP",
        "SP",
        "DP",
    ),
}
ALLOWED = [
    (objective, architecture, flags)
    for (objective, architecture, has), (flags, names) in itertools.product(rows(), SPREAD.items())
    if all(has[name] for name in names)
]


def covering() -> list[tuple[str, str, str]]:
    """Each row of the table once, the layouts in turn."""
    found = []
    for number, row in enumerate(dict.fromkeys(case[:2] for case in ALLOWED)):
        able = [case for case in ALLOWED if case[:2] == row]
        found.append(able[number % len(able)])
    return found


CASES = [pytest.param(*case, marks=[] if case in covering() else [pytest.mark.full]) for case in ALLOWED]


def test_the_page_shows_the_table():
    head = ["| | " + " | ".join(["architecture", *LAYOUTS]) + " |", "|---" * (len(LAYOUTS) + 2) + "|"]
    lines = [
        f"| {objective} | {architecture} | " + " | ".join("yes" if there else "no" for there in has.values()) + " |"
        for objective, architecture, has in rows()
    ]
    assert "\n".join(head + lines) + "\n" in PAGE.read_text(encoding="utf-8")


def refused(argv: str, processes: int = 4) -> str:
    with pytest.raises(ConfigurationError) as error:
        read_configuration(["--preset", "tiny", "--mock-data", "--train-iters", "1", *argv.split()], processes)
    return str(error.value)


ALLOWED = [row[:2] for row in rows()]
REFUSED = [pair for pair in itertools.product(dict.fromkeys(row[0] for row in rows()), SHAPES) if pair not in ALLOWED]


@pytest.mark.parametrize(("objective", "architecture"), REFUSED)
def test_whatever_is_not_in_the_table_is_refused(objective, architecture):
    said = refused(f"--objective {objective} --architecture {architecture} {SHAPES[architecture]}")
    near = " or ".join(row[1] for row in rows() if row[0] == objective)
    assert f"--objective {objective}: is not learnt by --architecture {architecture}; use --architecture {near}" in said


def test_a_layout_that_is_not_there_is_refused():
    shape = SHAPES["encoder_decoder"]
    said = refused(f"--objective span_corruption {shape} --context-parallel-size 2")
    assert "--context-parallel-size 2: shares the tokens of one stretch, and an encoder and a decoder have two; use " in said
    assert "or --architecture prefix_decoder or causal_decoder" in said
    said = refused(f"--objective denoising {shape} --num-experts 4 --expert-model-parallel-size 2")
    assert "--expert-model-parallel-size 2: spreads experts, which are there in one stack of layers alone; use " in said


@pytest.mark.parametrize(("architecture", "most"), [("prefix_decoder", 63), ("encoder_decoder", 64)])
def test_a_prefix_that_leaves_nothing_to_predict_is_refused(architecture, most):
    argv = f"--objective prefix_lm --architecture {architecture} {SHAPES[architecture]} --prefix-length"
    assert f"--prefix-length {most + 1}: leaves nothing to predict in samples of --" in refused(f"{argv} {most + 1}")
    read_configuration(["--preset", "tiny", "--mock-data", *argv.split(), str(most)], 1)


@pytest.mark.parametrize(("objective", "architecture", "flags"), CASES)
def test_what_is_in_the_table_is_trained(objective, architecture, flags, pool, tmp_path, tokenizer):
    own = f"--objective {objective} --architecture {architecture} {SHAPES[architecture]} {flags}"
    ranks = pool.run(train_case, 4, [*RUN, "--tokenizer-model", tokenizer, *own.split()], str(tmp_path))
    loss = json.loads((tmp_path / "metrics.jsonl").read_text())["loss"]
    assert 0.8 * math.log(600) < loss < 1.4 * math.log(600)
    for initial, final, _ in ranks:
        assert any(not before[-1].equal(after[-1]) for before, after in zip(initial, final, strict=True))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> str:
    return texts.write_tokenizer_with_control_tokens(tmp_path_factory.mktemp("tokenizer"), 600)
