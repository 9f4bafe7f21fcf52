"""A run's tokenizer in a Hugging Face folder gives transformers the ids that the run has."""

from __future__ import annotations

import json

import pytest

from megatron_ext.arguments.config import read
from megatron_ext.checkpoint.conversion import tokenizer_files
from megatron_ext.tokenizers.build import build
from megatron_ext.tokenizers.flags import ALGORITHMS, TokenizerFlags, TrainTokenizerFlags
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


def same_ids(ours, folder):
    """transformers' own way to load the folder gives the ids and the text that ours does."""
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(folder)
    assert (len(theirs), theirs.eos_token_id) == (ours.vocab_size, ours.eod)
    named = [*ours.control_tokens, "<unk>", "[UNK]"]  # in transformers, these are themselves wherever a text has their names
    found = [*texts.library_texts(), *texts.HARD, *texts.chinese_texts(), " a", "a ", ""]
    found = [text for text in found if not any(name in text for name in named)]
    assert len(found) > 70
    for text in found:
        assert theirs.encode(text, add_special_tokens=False) == ours.encode(text), text
        assert theirs.decode(ours.encode(text)) == ours.decode(ours.encode(text))


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_what_each_algorithm_learns_goes_out(algorithm, tmp_path):
    """And comes back: the folder is a run's tokenizer, too."""
    flags = TrainTokenizerFlags(algorithm=algorithm, vocab_size=700, allow_lossy=True)
    (tmp_path / "learned").mkdir()
    for name, content in ALGORITHMS.load(algorithm).train(texts.library_texts(), flags).items():
        (tmp_path / "learned" / name).write_bytes(content)
    ours, said = written(["--tokenizer-model", tmp_path / "learned"], tmp_path / "out")
    assert said is None
    same_ids(ours, tmp_path / "out")
    again = build(read([TokenizerFlags], tokenizer_files.tokenizer_of(tmp_path / "out"), "", "").tokenizer)
    assert again.entries() == ours.entries() and again.eod == ours.eod
    assert all(again.encode(text) == ours.encode(text) for text in (*texts.HARD, *texts.library_texts()))


@pytest.mark.parametrize("settings", [
    {}, {"add_dummy_prefix": False}, {"model_type": "unigram"}, {"model_type": "unigram", "add_dummy_prefix": False},
    {"remove_extra_whitespaces": True}, {"normalization_rule_name": "nmt_nfkc", "remove_extra_whitespaces": True},
    {"model_type": "unigram", "normalization_rule_name": "nmt_nfkc", "remove_extra_whitespaces": True},
], ids=str)  # fmt: skip
def test_a_sentencepiece_model_goes_out_with_its_ids(settings, tmp_path):
    (tmp_path / "tokenizer.model").write_bytes(texts.sentencepiece_model(**settings))
    ours, said = written(["--tokenizer-model", tmp_path], tmp_path / "out")
    assert said is None and (tmp_path / "out" / "tokenizer.model").read_bytes() == (tmp_path / "tokenizer.model").read_bytes()
    same_ids(ours, tmp_path / "out")
    ids = tokenizer_files.special_ids(tmp_path / "out", ours.eod)
    assert ids == {"bos_token_id": 1, "eos_token_id": ours.eod, "pad_token_id": None}


def test_a_sentencepiece_model_that_no_tokenizer_json_equals_is_copied(tmp_path):
    (tmp_path / "tokenizer.model").write_bytes(texts.sentencepiece_model(user_defined_symbols="import"))
    ours, said = written(["--tokenizer-model", tmp_path], tmp_path / "out")
    assert said.startswith("tokenizer.model is copied as it is: no tokenizer.json gives its ids")
    assert not (tmp_path / "out" / "tokenizer.json").exists()


@pytest.mark.parametrize(("content", "name"), [
    (texts.tiktoken_file, "cl100k.tiktoken"), (texts.tiktoken_file, "gpt2.tiktoken"),
    (texts.megatron_tiktoken_file, "v2.tiktoken.json"),
])  # fmt: skip
def test_ranks_go_out_as_a_tokenizer_json(content, name, tmp_path):
    (tmp_path / name).write_bytes(content())
    ours, said = written(["--tokenizer-model", tmp_path / name], tmp_path / "out")
    assert said is None and (tmp_path / "out" / "tokenizer.json").exists()
    same_ids(ours, tmp_path / "out")


def test_no_tokenizer_is_said(tmp_path):
    assert written(["--vocab-size", 9], tmp_path / "none")[1] == "the run has no tokenizer, and the folder none"


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
