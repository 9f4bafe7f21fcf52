"""Console lines: what a person reads, NaN included."""

from __future__ import annotations

import math

import pytest

from megatron_ext.monitor.console import amount, duration, line
from megatron_ext.monitor.metrics import Record


def record(**changes):
    values = dict(
        iteration=20,
        loss=3.14159,
        grad_norm=1.5,
        learning_rate=3e-4,
        global_batch_size=8,
        consumed_samples=160,
        consumed_tokens=10240,
        tokens_per_second=12345.0,
        flops_per_second=4.56e10,
        flops_share=0.31,
        memory_bytes=2**30,
        skipped=0,
    )
    return Record(**(values | changes))


def test_one_line_has_it_all():
    text = line(record(eval_loss=2.5, eval_bits_per_byte=1.25), 200, "GEMM rate", 200)
    assert text == (
        "iter  20/200  10.0% | loss 3.1416 | grad 1.500 | lr 3.00e-04 | 12.3 ktok/s | 45.6 GFLOP/s (31% of GEMM rate) | "
        "1.00 GiB | ETA 3:20 | eval 2.5000 (1.250 bits/byte)"
    )


def test_sets_follow_by_name_and_the_test_data_comes_last():
    sets = {"wiki": {"loss": 2.0, "bits_per_byte": 1.0}, "code": {"loss": 3.0}}
    text = line(record(eval_loss=2.5, eval_sets=sets, test_loss=2.75, test_bits_per_byte=1.5), 200, "peak", 0)
    assert text.endswith(" | eval 2.5000 | eval wiki 2.0000 (1.000 bits/byte) | eval code 3.0000 | test 2.7500 (1.500 bits/byte)")


def test_nan_and_skipped_updates_are_shown():
    text = line(record(loss=math.nan, grad_norm=math.inf, skipped=2), 200, "peak", 0)
    assert "batch 8 |" in line(record(skipped=2), 200, "peak", 0, batch=16)
    assert "rank 3 slow: 2.5× the median" in line(record(slowest_rank=3, slowest_factor=2.54), 200, "peak", 0)
    assert "slow" not in line(record(slowest_rank=3, slowest_factor=1.4), 200, "peak", 0)
    assert "scale 65536" in line(record(loss_scale=65536.0), 200, "peak", 0)
    words = dict(words_loss=2.0, sentence_loss=0.5)
    assert "words 2.0000, sentences 0.5000 (75% right)" in line(record(**words, sentence_accuracy=0.75), 200, "peak", 0)
    assert "sentences" not in line(record(**words), 200, "peak", 0), "none was asked"
    assert "loss nan (not finite)" in text and "grad inf" in text and "skipped 2" in text


@pytest.mark.parametrize(("value", "text"), [(999, "999.0 "), (1500, "1.5 k"), (2e12, "2.0 T"), (3e15, "3.0 P")])
def test_amounts(value, text):
    assert amount(value) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (61, "1:01"), (3661, "1:01:01")])
def test_durations(seconds, text):
    assert duration(seconds) == text
