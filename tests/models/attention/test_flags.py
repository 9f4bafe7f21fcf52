"""Which patterns fit together with their sizes, and with what is learnt."""

from __future__ import annotations

import pytest

from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.training.configuration import read_configuration

BASE = "--preset tiny --mock-data --vocab-size 100 --train-iters 1 --device cpu".split()


def read(line: str):
    return read_configuration([*BASE, *line.split()], 1)


@pytest.mark.parametrize(("line", "said"), [
    ("--attention-pattern sliding_window", "--attention-pattern sliding_window: needs its size; add --sliding-window"),
    ("--sliding-window 5", "--sliding-window 5: belongs to a pattern that no layer has"),
    ("--attention-pattern causal causal causal causal causal", "5: patterns are more than --num-layers 4"),
    ("--attention-pattern window", "expected one of causal, full, prefix, sliding_window"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(line, said):
    with pytest.raises(ConfigurationError) as error:
        read(line)
    assert said in str(error.value)


@pytest.mark.parametrize("line", ["--attention-pattern full", "--attention-pattern prefix"])
def test_what_shows_what_is_predicted_is_refused(line):
    with pytest.raises(ConfigurationError, match="shows causal_lm what it is to predict"):
        read(line)


def test_patterns_are_taken_in_turn():
    model = read("--attention-pattern sliding_window causal --sliding-window 4").model
    assert model.attention_pattern == ("sliding_window", "causal")


@pytest.mark.parametrize(("line", "pattern", "window"), [
    ("--window-size 127,0", ("sliding_window",), 128),
    ("--window-size (127,0)", ("sliding_window",), 128),
    ("--window-size 127,0 --window-attn-skip-freq 4", ("sliding_window",) * 3 + ("causal",), 128),
    ("--window-size 127,0 --window-attn-skip-freq 1", ("causal",), None),
])  # fmt: skip
def test_megatron_lms_windows(line, pattern, window):
    model = read(line).model
    assert (model.attention_pattern, model.sliding_window) == (pattern, window)


@pytest.mark.parametrize("line", ["--window-size 5,5", "--window-size five", "--window-size 5,0 --window-attn-skip-freq [1,0]"])
def test_megatron_lms_windows_that_are_none(line):
    with pytest.raises(ConfigurationError, match="give --attention-pattern"):
        read(line)
