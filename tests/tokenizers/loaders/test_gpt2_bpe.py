"""Against transformers' GPT2Tokenizer on the same two files."""

from __future__ import annotations

import json

import pytest

from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import ConfigurationError, UserError
from megatron_ext.tokenizers.build import build
from megatron_ext.tokenizers.flags import TokenizerFlags
from tests import texts

END = "<|endoftext|>"


def write(folder, end_at: int | None = None):
    """`vocab.json` and `merges.txt` as GPT-2 has them: the bytes, the merges in order, the end token last (or left out)."""
    model = json.loads(texts.byte_level_bpe_json())["model"]
    tokens = [token for token in sorted(model["vocab"], key=model["vocab"].get) if token != END]
    tokens += [END] if end_at is None else []
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"]]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    return ["--vocab-file", str(folder / "vocab.json"), "--merge-file", str(folder / "merges.txt")]


def flags(*argv):
    return read([TokenizerFlags], argv, "pretrain_gpt.py", "").tokenizer


def test_ids_are_those_of_gpt2tokenizer(tmp_path):
    from transformers import GPT2Tokenizer

    argv = write(tmp_path)
    ours = build(flags("--tokenizer-type", "GPT2BPETokenizer", *argv))
    theirs = GPT2Tokenizer(argv[1], argv[3])
    assert (ours.vocab_size, ours.eod) == (len(theirs), theirs.eos_token_id)
    for text in (*texts.library_texts(), *(text for text in texts.HARD if END not in text), "1234 it's they'll"):
        ids = ours.encode(text)
        assert ids == theirs(text)["input_ids"]
        assert ours.decode(ids) == text
        assert ours.token_bytes()[ids].sum() == len(text.encode())


def test_the_two_files_alone_are_enough(tmp_path):
    found = flags(*write(tmp_path))
    assert found.tokenizer_type == "gpt2_bpe"
    assert build(found).fingerprint() == build(flags("--tokenizer-type", "gpt2-bpe", *write(tmp_path))).fingerprint()


def test_an_end_token_that_is_not_in_the_vocabulary_is_added(tmp_path):
    from transformers import GPT2Tokenizer

    argv = write(tmp_path, end_at=-1)
    ours, theirs = build(flags(*argv)), GPT2Tokenizer(argv[1], argv[3])
    assert (ours.vocab_size, ours.eod) == (len(theirs), theirs.eos_token_id)
    assert ours.eod == ours.vocab_size - 1


def test_the_name_of_the_end_token_is_text(tmp_path):
    ours = build(flags(*write(tmp_path)))
    assert ours.eod not in ours.encode(f"a {END} b")
    assert ours.decode(ours.encode(f"a {END} b")) == f"a {END} b"


def test_a_size_that_disagrees_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"vocab.json: has 600 entries, and the model has --vocab-size 5"):
        build(flags(*write(tmp_path), "--vocab-size", "5"))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--vocab-file", "{}/vocab.json"], "--merge-file: is missing for --tokenizer-type gpt2_bpe; give it"),
        (["--tokenizer-type", "gpt2_bpe"], "--vocab-file: is missing"),
        (["--vocab-file", "{}/no", "--merge-file", "{}/merges.txt"], "/no: is not there"),
        (["--vocab-file", "{0}/vocab.json", "--merge-file", "{0}/merges.txt", "--tokenizer-model", "x",
          "--tokenizer-type", "gpt2_bpe"], "--tokenizer-model x: has no effect with --tokenizer-type gpt2_bpe"),
        (["--vocab-size", "9", "--vocab-file", "{}/vocab.json"], "--merge-file: is missing"),
        (["--vocab-size", "9", "--tokenizer-type", "null", "--merge-file", "{}/merges.txt"], "has no effect with"),
    ],
)  # fmt: skip
def test_problems(tmp_path, argv, said):
    write(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        flags(*(word.format(tmp_path) for word in argv))
    assert said in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", '{"a": "b"}'])
def test_broken_files_are_one_sentence(tmp_path, content):
    argv = write(tmp_path)
    (tmp_path / "vocab.json").write_text(content)
    with pytest.raises(UserError, match="are not GPT-2's vocab.json and merges.txt"):
        build(flags(*argv))
