"""A run that was stopped equals the run that was not, bit by bit on the same layout (on others: tests/layouts)."""

from __future__ import annotations

import pytest

from megatron_ext.checkpoint import manifest
from tests import texts
from tests.layouts.training_case import outcome

SIZES = "--preset tiny --mock-data --train-iters 10 --global-batch-size 8 --micro-batch-size 2 --seq-length 32".split()
RUN = [*SIZES, "--vocab-size", "300"]
DROPOUT = ["--hidden-dropout", "0.1", "--attention-dropout", "0.1"]
LAYOUTS = {
    "TP1": (1, []),
    "TP2+SP": (2, ["--tensor-model-parallel-size", "2", "--sequence-parallel"]),
    "PP2": (2, ["--pipeline-model-parallel-size", "2"]),
    "PP2 of 1+3": (2, ["--pipeline-model-parallel-size", "2", "--decoder-first-pipeline-num-layers", "1"]),
    "DP2+ZeRO1": (2, ["--zero-stage", "1", "--overlap-grad-reduce", "--overlap-param-gather"]),
    "bf16": (1, ["--bf16"]),
    "EP2, biases and further predictions in bf16": (
        2,
        "--bf16 --expert-model-parallel-size 2 --num-experts 4 --moe-router-score-function sigmoid --mtp-num-layers 1 "
        "--moe-router-enable-expert-bias --moe-router-load-balancing-type global_aux_loss --moe-aux-loss-coeff 0.1".split(),
    ),
    "bf16.DP2+ZeRO1": (2, ["--bf16", "--zero-stage", "1"]),
}

# What is not a causal decoder, each with an objective that draws.
ARCHITECTURES = {
    "encoder on TP2+SP": (
        2,
        "--objective masked_lm --sentence-task next_sentence --normalization layernorm --tensor-model-parallel-size 2 "
        "--sequence-parallel --position-embedding-type learned_absolute",
    ),
    "encoder and decoder on PP2.DP2+ZeRO1": (
        4,
        "--objective mixture_of_denoisers --encoder-num-layers 2 --decoder-num-layers 2 --encoder-seq-length 64 "
        "--decoder-seq-length 32 --position-embedding-type t5_bias --pipeline-model-parallel-size 2 --zero-stage 1",
    ),
    "prefix decoder on CP2": (2, "--objective blank_infilling --context-parallel-size 2"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_stopped_and_resumed_equals_straight_bit_by_bit(layout, pool, tmp_path):
    world_size, flags = LAYOUTS[layout]
    goes_on_as_it_was([*RUN, *DROPOUT, *flags], world_size, pool, tmp_path)


@pytest.mark.parametrize(
    "architecture", [pytest.param(name, marks=pytest.mark.full) if "TP2" in name else name for name in ARCHITECTURES]
)
def test_other_architectures_do_so_too(architecture, pool, tmp_path):
    world_size, flags = ARCHITECTURES[architecture]
    tokenizer = texts.write_tokenizer_with_control_tokens(tmp_path, 600)
    own = ["--tokenizer-type", "huggingface", "--tokenizer-model", tokenizer]
    goes_on_as_it_was([*SIZES, *own, *DROPOUT, *flags.split()], world_size, pool, tmp_path)


def goes_on_as_it_was(argv, world_size, pool, tmp_path):
    """Assert that a run which was stopped after four updates equals the one that was not."""
    straight = outcome(pool, argv, world_size, tmp_path / "straight")
    first = outcome(pool, [*argv, "--exit-interval", "4"], world_size, tmp_path / "stopped")
    assert len(first.records) == 4
    resumed = outcome(pool, argv, world_size, tmp_path / "stopped")
    for ours, theirs in zip(resumed.records, straight.records, strict=True):
        assert same_training(ours) == same_training(theirs)
    for name, tensor in straight.final.items():
        assert resumed.final[name].equal(tensor), name


CLOCKED = ("tokens_per", "flops", "memory", "busy", "slowest")


def same_training(record: dict) -> dict:
    """A record without what the clock and the allocator decide."""
    return {key: value for key, value in record.items() if not key.startswith(CLOCKED)}


def test_a_killed_save_leaves_nothing_that_counts(pool, tmp_path):
    outcome(pool, [*RUN, "--exit-interval", "4"], 1, tmp_path)
    partial = tmp_path / ".iter_0000006.partial"
    partial.mkdir()
    (partial / "__0_0.distcp").write_bytes(b"half")
    resumed = outcome(pool, RUN, 1, tmp_path)
    assert resumed.records[-1]["iteration"] == 10
    assert not partial.exists()


def test_a_damaged_checkpoint_is_set_aside_and_the_run_is_the_same(pool, tmp_path):
    straight = outcome(pool, [*RUN, "--save-interval", "2"], 1, tmp_path / "straight")
    outcome(pool, [*RUN, "--save-interval", "2", "--exit-interval", "6"], 1, tmp_path / "run")
    newest = tmp_path / "run" / "iter_0000006" / "__0_0.distcp"
    newest.write_bytes(newest.read_bytes()[:-100])
    resumed = outcome(pool, [*RUN, "--save-interval", "2"], 1, tmp_path / "run")
    assert list(map(same_training, resumed.records)) == list(map(same_training, straight.records))
    assert (tmp_path / "run" / "iter_0000006.damaged").is_dir()
    assert manifest.problem_of(newest.parent, manifest.read(newest.parent)) is None  # written anew


ANOTHER = ["--num-attention-heads 8 --num-query-groups 4 --kv-channels 8", "--rotary-base 500", "--norm-epsilon 0.1"]


@pytest.mark.parametrize("change", ANOTHER)
def test_another_architecture_is_refused_by_flag(change, pool, tmp_path):
    outcome(pool, [*RUN, "--exit-interval", "2"], 1, tmp_path)
    with pytest.raises(AssertionError, match=f"{change.split()[0]} was"):
        outcome(pool, [*RUN, *change.split()], 1, tmp_path)
