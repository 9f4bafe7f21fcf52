"""Prompts from the command line and from files, in order, every sample a request of its own."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.inference.prompts import infilling, read_prompts, requests
from megatron_ext.objectives import fill_in_middle
from megatron_ext.objectives.reading.draws import Draws
from megatron_ext.objectives.reading.flags import ObjectiveFlags
from megatron_ext.tokenizers.loaders.null import NullTokenizer
from tests import texts as real
from tests.objectives.made import control, setting, tokenizer


def flags(**settings):
    return SimpleNamespace(**dict(prompt=(), prompts_file=None, prompt_key="prompt", top_k=0, num_samples=1) | settings)


def texts(**settings):
    return [text for _, text in read_prompts(flags(**settings))]


@pytest.mark.parametrize(("name", "content"), [
    ("plain.txt", "one \n  two\n三"),
    ("ending.txt", "one \n  two\n三\n"),
    ("a.jsonl", '{"prompt": "one ", "n": 1}\n{"prompt": "  two"}\n{"prompt": "\\u4e09"}\n'),
])  # fmt: skip
def test_a_file_gives_its_lines(name, content, tmp_path):
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert texts(prompts_file=str(tmp_path / name)) == ["one ", "  two", "三"]


def test_a_json_text_may_have_several_lines(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"q": "one\\ntwo"}')
    assert texts(prompts_file=str(tmp_path / "a.jsonl"), prompt_key="q") == ["one\ntwo"]


def test_requests_are_numbered_sample_by_sample():
    asked = requests(read_prompts(flags(prompt=("1 2", "3"))), NullTokenizer(9), flags(num_samples=2), window=2)
    assert [(r.number, r.sample, r.prompt, r.ids) for r in asked] == [
        (0, 0, "1 2", (1, 2)), (0, 1, "1 2", (1, 2)), (1, 0, "3", (3,)), (1, 1, "3", (3,)),
    ]  # fmt: skip


def infilled(prefix: str, suffix: str, window: int = 1000, objective: str = "fill_in_middle", **settings):
    config = SimpleNamespace(objective=ObjectiveFlags(objective=objective, **settings))
    return infilling(flags(infill=(prefix, suffix), num_samples=2), config, tokenizer(), window)


def test_a_middle_is_asked_for_as_it_was_learnt():
    """What stands before the middle in a document that training has cut is what the same two texts ask with."""
    text = real.library_texts()[4][:300]
    pairs = fill_in_middle.Pairs(setting("fill_in_middle", fim_rate=1.0, fim_spm_rate=0.0))
    for number in range(20):
        learnt = pairs(np.array(tokenizer().encode(text)), Draws(number)).labels.tolist()
        last, middle = learnt.index(control("<|fim_suffix|>")), learnt.index(control("<|fim_middle|>"))
        prefix, suffix = (tokenizer().decode(part) for part in (learnt[1:last], learnt[last + 1 : middle]))
        first, second = infilled(prefix, suffix)
        assert list(first.ids) == learnt[: middle + 1] and second == first.__class__(0, 1, prefix, first.ids)


@pytest.mark.parametrize(("settings", "said"), [
    (dict(objective="causal_lm"), "the run learnt --objective causal_lm, which fills in no middle"),
    (dict(fim_middle_token="<fim_middle>"), "needs control tokens that the tokenizer has not: <fim_middle>"),
    (dict(window=4), "the model has 4 positions; give shorter ones"),
])  # fmt: skip
def test_what_cannot_be_filled_in_is_said(settings, said):
    with pytest.raises(UserError, match=said):
        infilled("def add(a, b):", "    return total", **settings)
