"""How sentences' losses are weighed, and what an encoder has no meaning for. Its numbers: tests/parity/test_encoder.py."""

from __future__ import annotations

import pytest
import torch

from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.models.encoder import _targets_of_sentences
from megatron_ext.training.configuration import read_configuration

BASE = "--preset tiny --architecture encoder --mock-data --vocab-size 100 --train-iters 1 --device cpu".split()


def test_a_sentence_counts_as_its_document_has_words_to_predict():
    batch = {
        "input_ids": torch.zeros(2, 6, dtype=torch.long),
        "documents": torch.tensor([[0, 0, 1, 1, 1, -1], [0, 0, 0, 0, 0, 0]]),
        "loss_mask": torch.tensor([[0.0, 1, 0, 1, 1, 0], [0, 1, 1, 1, 0, 0]]),
    }
    found = _targets_of_sentences(batch)
    assert found[0, [0, 2]].tolist() == [1, 2] and found[1, 0] == 3
    del batch["documents"]
    assert _targets_of_sentences(batch)[:, 0].tolist() == [3, 3]


def test_heads_and_types_follow_the_task():
    for task, head, types in (("none", False, 0), ("next_sentence", True, 2), ("sentence_order", True, 2)):
        model = read_configuration([*BASE, "--sentence-task", task], 1).model
        assert (model.bert_binary_head, model.num_tokentypes) == (head, types)


@pytest.mark.parametrize(("line", "said"), [
    ("--position-embedding-type xpos", "xpos: are positions of tokens that see those before them alone"),
    ("--mtp-num-layers 1", "--mtp-num-layers 1: predicts the tokens that come next, which an encoder sees"),
    ("--sentence-task next_sentence --no-bert-binary-head", "leaves nothing that could learn --sentence-task next_sentence"),
    ("--bert-binary-head --num-tokentypes 1", "--num-tokentypes 1: tells no two sentences apart"),
])  # fmt: skip
def test_what_it_has_not_is_refused_by_name(line, said):
    with pytest.raises(ConfigurationError) as error:
        read_configuration([*BASE, *line.split()], 1)
    assert said in str(error.value)
