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


def test_gpt3_has_its_published_number():
    assert count(model_flags("--preset", "gpt3-175b"), 50257).total == pytest.approx(174.6e9, rel=1e-4)
