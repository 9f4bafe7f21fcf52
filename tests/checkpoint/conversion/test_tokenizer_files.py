"""A run's tokenizer in a Hugging Face folder gives transformers the ids that the run has."""

from __future__ import annotations

import json

import pytest

from megatron_ext.arguments.config import read
from megatron_ext.checkpoint.conversion import tokenizer_files
from megatron_ext.tokenizers.build import build
from megatron_ext.tokenizers.flags import TokenizerFlags
from tests import texts
from tests.tokenizers.loaders.test_gpt2_bpe import write as write_gpt2


def written(argv, folder):
    """`(our tokenizer, what is said)`."""
    flags = read([TokenizerFlags], list(map(str, argv)), "", "").tokenizer
    tokenizer = build(flags)
    folder.mkdir()
    return tokenizer, tokenizer_files.write(flags, tokenizer, folder)


@pytest.mark.parametrize("kind", ["our own byte-level BPE", "GPT-2's two files"])
def test_transformers_has_the_same_ids(kind, tmp_path):
    from transformers import AutoTokenizer

    if kind == "our own byte-level BPE":
        (tmp_path / "tokenizer.json").write_text(texts.byte_level_bpe_json())
        argv = ["--tokenizer-model", tmp_path / "tokenizer.json"]
    else:
        argv = write_gpt2(tmp_path)
    ours, said = written(argv, tmp_path / "out")
    theirs = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert said is None and (len(theirs), theirs.eos_token_id) == (ours.vocab_size, ours.eod)
    for text in (*texts.library_texts(), *(text for text in texts.HARD if "<|endoftext|>" not in text)):
        assert theirs.encode(text, add_special_tokens=False) == ours.encode(text)
        assert theirs.decode(ours.encode(text)) == text
    ids = tokenizer_files.special_ids(tmp_path / "out", ours.eod)
    assert ids == {"bos_token_id": None, "eos_token_id": ours.eod, "pad_token_id": None}


def test_a_sentencepiece_model_is_copied_and_its_limits_are_said(tmp_path):
    """The ids are the same but for a space at the beginning, where transformers puts no other before it."""
    from transformers import AutoTokenizer

    (tmp_path / "tokenizer.model").write_bytes(texts.sentencepiece_model())
    ours, said = written(["--tokenizer-model", tmp_path], tmp_path / "out")
    assert "tokenizer.model is copied as it is" in said and "texts that begin with a space" in said
    theirs = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert theirs.eos_token_id == ours.eod
    for text in texts.library_texts():
        same = theirs.encode(text, add_special_tokens=False) == ours.encode(text)
        assert same == (not text.startswith(" ")) or "</s>" in text


def test_no_tokenizer_and_tiktokens_are_said(tmp_path):
    assert written(["--vocab-size", 9], tmp_path / "none")[1] == "the run has no tokenizer, and the folder none"
    (tmp_path / "cl100k.tiktoken").write_bytes(texts.tiktoken_file())
    said = written(["--tokenizer-model", tmp_path / "cl100k.tiktoken"], tmp_path / "ranks")[1]
    assert said.startswith("cl100k.tiktoken is copied as it is") and (tmp_path / "ranks" / "tokenizer.model").exists()


def test_the_tokenizer_of_a_folder_is_found(tmp_path):
    assert tokenizer_files.tokenizer_of(tmp_path) == ["--tokenizer-type", "null"]
    files = write_gpt2(tmp_path)
    assert tokenizer_files.tokenizer_of(tmp_path) == files
    (tmp_path / "tokenizer.json").write_text(texts.byte_level_bpe_json())
    assert tokenizer_files.tokenizer_of(tmp_path) == ["--tokenizer-model", str(tmp_path)]
    names = {"bos_token": {"content": "<|endoftext|>"}, "eos_token": "<|endoftext|>", "pad_token": None}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(names))
    assert tokenizer_files.special_ids(tmp_path, 5) == {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": None}


def test_a_tokenizer_comes_home_whatever_its_file_is_called(tmp_path):
    theirs, home = tmp_path / "theirs", tmp_path / "home"
    theirs.mkdir()
    (theirs / "config.json").write_text("{}")
    tokenizer_files.take_home(theirs, home)
    assert not home.exists()  # there is none
    (theirs / "cl100k.tiktoken").write_bytes(texts.tiktoken_file())
    tokenizer_files.take_home(theirs, home)
    assert sorted(path.name for path in home.iterdir()) == ["cl100k.tiktoken", "config.json"]
    found = [build(read([TokenizerFlags], tokenizer_files.tokenizer_of(place), "", "").tokenizer) for place in (theirs, home)]
    assert found[0].fingerprint() == found[1].fingerprint()
