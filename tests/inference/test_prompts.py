"""Prompts from the command line and from files, in order, every sample a request of its own."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from megatron_ext.inference.prompts import read_prompts, requests
from megatron_ext.tokenizers.loaders.null import NullTokenizer


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
