"""What the model is as a whole decides the number of layers, who sees whom, and which flags have a meaning."""

from __future__ import annotations

import pytest

from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.training.configuration import read_configuration

BASE = "--mock-data --vocab-size 100 --train-iters 1 --device cpu".split()
BOTH = "--architecture encoder-decoder --encoder-num-layers 2 --decoder-num-layers 3"


def read(line: str):
    return read_configuration([*BASE, *line.split()], 1)


def test_one_stack_has_the_layers_that_either_flag_says():
    assert read("--num-layers 3").model == read("--encoder-num-layers 3").model
    assert read("--encoder-seq-length 16").model.seq_length == 16


def test_two_stacks_are_one_after_the_other(tmp_path):
    config = read(f"{BOTH} --decoder-seq-length 8")
    model = config.model
    assert (model.num_layers, model.encoder_seq_length, model.decoder_seq_length) == (5, 512, 8)
    assert model.attention_pattern == ("full", "full", "causal", "causal", "causal")
    (tmp_path / "run.yaml").write_text(config.to_yaml())
    again = ["--config", str(tmp_path / "run.yaml")]
    assert read_configuration(again, 1) == config
    model = read_configuration([*again, "--encoder-num-layers", "1"], 1).model
    assert (model.num_layers, model.attention_pattern) == (4, ("full", "causal", "causal", "causal"))


@pytest.mark.parametrize(("name", "patterns"), [("causal-decoder", ("causal",)), ("encoder", ("full",))])
def test_who_sees_whom_by_default(name, patterns):
    assert read(f"--architecture {name}").model.attention_pattern == patterns


@pytest.mark.parametrize(("line", "said"), [
    ("--architecture encoder-decoder", "encoder_decoder: is two stacks of layers; add --decoder-num-layers"),
    ("--decoder-num-layers 3", "--decoder-num-layers 3: belongs to --architecture encoder-decoder, and this is causal_decoder"),
    ("--architecture encoder --decoder-seq-length 3", "--decoder-seq-length 3: belongs to --architecture encoder-decoder"),
    ("--encoder-num-layers 4 --num-layers 8", "--encoder-num-layers and --num-layers: contradict each other"),
    (f"{BOTH} --num-layers 5", "--num-layers: has no meaning beside --encoder-num-layers 2 and --decoder-num-layers 3"),
    (f"{BOTH} --attention-pattern full causal", "the encoder's layers are full, the decoder's causal; leave it out"),
    (f"{BOTH} --attention-pattern sliding_window --sliding-window 3", "sliding_window: is not what the layers of"),
    ("--architecture encoder --attention-pattern causal", "causal: is not what the layers of --architecture encoder show"),
    ("--attention-pattern full", "full: shows causal_lm what it is to predict; use --architecture encoder"),
    ("--objective prefix_lm --position-embedding-type xpos", "xpos: are positions of tokens that see those before them alone"),
    ("--objective blank_infilling --position-embedding-type alibi", "alibi: counts the tokens between two, and those of a short"),
])  # fmt: skip
def test_what_has_no_meaning_is_refused_by_name(line, said):
    with pytest.raises(ConfigurationError) as error:
        read(line)
    assert said in str(error.value)
