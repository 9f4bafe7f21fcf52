"""What is a name, and what a file that has a `=` in its own."""

import pytest

from megatron_ext.evaluation.tokenizers.names import named, named_tokenizers, own_name, twice


def test_a_name_before_the_sign_unless_the_whole_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "day=3").mkdir()
    (tmp_path / "day=3" / "a.jsonl").touch()
    assert named("english=a.jsonl") == ("english", "a.jsonl")
    assert named("code='c/*=x'") == ("code", "'c/*=x'")
    assert named("a.jsonl") == (None, "a.jsonl")
    assert named("day=3/a.jsonl") == (None, "day=3/a.jsonl")
    assert named("day=3/*.jsonl") == (None, "day=3/*.jsonl")
    assert named("news=day=3/*.jsonl") == ("news", "day=3/*.jsonl")
    assert named("https://example.org/a?b=c.jsonl") == (None, "https://example.org/a?b=c.jsonl")
    assert named("web=https://example.org/a?b=c.jsonl") == ("web", "https://example.org/a?b=c.jsonl")
    assert named("=a.jsonl") == (None, "=a.jsonl")


@pytest.mark.parametrize(("path", "name"), [
    ("bpe/tokenizer.json", "bpe"), ("bpe/", "bpe"), ("bpe", "bpe"), ("bpe/cl100k_base.tiktoken", "cl100k_base"),
    ("bpe/llama.model", "llama"), ("bpe/tokenizer.model", "bpe"), ("not/there.json", "there"),
])  # fmt: skip
def test_own_name(path, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bpe").mkdir()
    for file in ("tokenizer.json", "cl100k_base.tiktoken", "llama.model", "tokenizer.model"):
        (tmp_path / "bpe" / file).touch()
    assert own_name(path) == name
    assert named_tokenizers([path, f"mine={path}"]) == [(name, path), ("mine", path)]


def test_twice():
    assert twice(["a", "b", "a", "c", "b", "a"]) == ["a", "b"]
