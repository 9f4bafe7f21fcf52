"""Closed forms against published numbers and against the model itself."""

from __future__ import annotations

import pytest

from megatron_ext.planner.flops import training_flops_per_token
from megatron_ext.planner.parameters import count
from megatron_ext.training.configuration import read_configuration

BASE = ["--mock-data", "--tokenizer-type", "null", "--vocab-size", "32000", "--train-iters", "1"]


def model_flags(*argv):
    return read_configuration([*BASE, *argv], 1).model


def test_llama_7b_has_its_published_number():
    assert count(model_flags("--preset", "llama-7b"), 32000).total == 6_738_415_616


def test_gpt3_small_has_125_million():
    assert count(model_flags("--preset", "gpt3-125m"), 50257).total == pytest.approx(125e6, rel=0.01)


def test_flops_are_six_a_parameter_plus_attention():
    model = model_flags("--preset", "llama-7b")
    matrices = count(model, 32000).total - 32000 * 4096 - 65 * 4096  # less the look-up, and norms
    attention = 12 * 32 * 4096 * 2048
    assert training_flops_per_token(model, 32000) == pytest.approx(6 * matrices + attention, rel=1e-4)


def test_windows_make_attention_cheaper():
    line = "--num-layers 4 --seq-length 512 --attention-pattern sliding_window sliding_window causal --sliding-window 100"
    full, some = (training_flops_per_token(model_flags(*argv), 32000) for argv in (line.split()[:4], line.split()))
    assert full - some == 12 * 256 * 3 * (512 - 100)  # layers 1, 2 and 4


def test_a_segment_and_its_memory_are_what_transformer_xl_sees():
    """Three products instead of two, of 96 keys instead of 512."""
    line = "--num-layers 4 --seq-length 512 --position-embedding-type {}"
    xl = "transformer_xl --segment-length 64 --memory-length 32"
    full, some = (training_flops_per_token(model_flags(*line.format(kind).split()), 32000) for kind in ("none", xl))
    assert full - some == 4 * 256 * (12 * 512 - 18 * 96)


LATENT = "--preset tiny --num-query-groups 4 --multi-latent-attention --kv-lora-rank 20 --v-head-dim 12"


def built(launch, argv):
    """Parameters of the model itself, without what pads the vocabulary."""
    from megatron_ext.models import gpt
    from megatron_ext.models.config import model_config
    from megatron_ext.training.layout import processes

    config = read_configuration([*BASE, *argv, "--device", "cpu"], launch.world_size)
    with processes(launch, config):
        (model,) = gpt.build(config.model, model_config(config, 32000, "local"), seed=None)
        return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("line", ["", "--q-lora-rank 24 --normalization layernorm --add-attention-output-bias"])
def test_latent_attention_is_counted(line, pool):
    argv = [*LATENT.split(), *line.split()]
    assert pool.run(built, 1, argv) == [count(model_flags(*argv), 32000).total]


TWO = "--preset tiny --architecture encoder-decoder --encoder-num-layers 2 --decoder-num-layers 3"
OTHER_ARCHITECTURES = (
    f"{TWO} --position-embedding-type t5_bias --untie-embeddings-and-output-weights",
    f"{TWO} --position-embedding-type t5_bias --relative-attention-bias-per-layer --norm-placement sandwich",
    f"{TWO} --position-embedding-type learned_absolute --norm-placement post --normalization layernorm --embedding-norm "
    "--add-bias-linear --activation gelu --max-position-embeddings 70",
    "--preset tiny --architecture encoder --bert-binary-head --normalization layernorm --add-output-bias --embedding-norm "
    "--position-embedding-type learned_absolute",
    "--preset tiny --architecture encoder --num-tokentypes 3 --position-embedding-type t5_bias",
)


@pytest.mark.parametrize("line", OTHER_ARCHITECTURES)
def test_encoders_and_decoders_are_counted(line, pool):
    assert pool.run(built, 1, line.split()) == [count(model_flags(*line.split()), 32000).total]


def test_flops_of_two_stacks_are_those_of_each_token():
    """Written out for one layer each, of 40 and 24 tokens, per sample."""
    line = (
        "--architecture encoder-decoder --encoder-num-layers 1 --decoder-num-layers 1 --hidden-size 64 --num-attention-heads 4 "
        "--encoder-seq-length 40 --decoder-seq-length 24 --activation gelu --ffn-hidden-size 256"
    )
    mlp, attention, pairs = 2 * 64 * 256, 4 * 64 * 64, 40 * 40 + 24 * 24 + 24 * 40
    matrices = 40 * (mlp + attention + 2 * 64 * 64) + 24 * (mlp + attention + 2 * 64 * 64 + 32000 * 64)
    expected = (6 * matrices + 12 * 64 * pairs) / 64
    assert training_flops_per_token(model_flags(*line.split()), 32000) == pytest.approx(expected, rel=1e-3)  # norms


def test_latent_attention_in_deepseek_v3s_shapes():
    """The shapes of arXiv:2412.19437, section 4.2, and what its projections and their norms come to in a layer."""
    line = ("--num-layers 1 --hidden-size 7168 --num-attention-heads 128 --multi-latent-attention --q-lora-rank 1536 "
            "--kv-lora-rank 512 --qk-head-dim 128 --qk-pos-emb-head-dim 64 --v-head-dim 128 --ffn-hidden-size 18432")  # fmt: skip
    attention = 7168 * (1536 + 576 + 128 * 128) + 1536 * 128 * 192 + 512 * 128 * 256 + 1536 + 512
    assert attention == 187_107_328
    assert count(model_flags(*line.split()), 32000).layers == attention + 3 * 7168 * 18432 + 2 * 7168


def test_narrow_values_make_latent_attention_cheaper():
    narrow, wide = (model_flags(*LATENT.split(), "--v-head-dim", width) for width in ("12", "16"))
    weights = count(wide, 32000).layers - count(narrow, 32000).layers
    costs = [training_flops_per_token(model, 32000) for model in (narrow, wide)]
    assert costs[1] - costs[0] == 6 * weights + 6 * 4 * 4 * 4 * 64  # heads, layers, channels, tokens


def test_gpt3_has_its_published_number():
    assert count(model_flags("--preset", "gpt3-175b"), 50257).total == pytest.approx(174.6e9, rel=1e-4)
