"""The quick way is tried on the first documents; where it is wrong, it is not taken, and the place is told."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tokenizers

from megatron_ext.corpus.documents import Record
from megatron_ext.corpus.flags import InputFlags
from megatron_ext.data.preprocess import trial
from megatron_ext.data.preprocess.encoding import Batch
from megatron_ext.data.preprocess.flags import PreprocessFlags
from megatron_ext.data.preprocess.pipeline import preprocess
from megatron_ext.tokenizers.build import build
from megatron_ext.tokenizers.byte_alphabet import BYTE_OF
from megatron_ext.tokenizers.byte_pairs import BytePairs
from megatron_ext.tokenizers.flags import TokenizerFlags
from megatron_ext.tokenizers.loaders import huggingface
from megatron_ext.tokenizers.patterns import PATTERNS
from tests import texts

TEXTS = ["plain words", "ab:\nxyz", "more"]


@pytest.fixture
def flags(tmp_path):
    (tmp_path / "tokenizer.json").write_text(texts.byte_level_bpe_json())
    return TokenizerFlags(tokenizer_type="huggingface", tokenizer_model=str(tmp_path))


@pytest.fixture
def flawed(monkeypatch):
    """The quick way splits by another rule than the file says."""
    real = huggingface.fast_encoding

    def wrong(config, slow):
        assert real(config, slow) is not None
        vocab = config["model"]["vocab"]
        ranks = {token: vocab[name] for token, name in zip(texts.ranks(), _names(vocab))}
        return BytePairs(PATTERNS["gpt2"], ranks)

    monkeypatch.setattr(huggingface, "fast_encoding", wrong)


def _names(vocab):
    name_of = {bytes(BYTE_OF[character] for character in name): name for name in vocab if name != "<|endoftext|>"}
    return [name_of[token] for token in texts.ranks()]


def batch(*values):
    lines = [json.dumps({"text": value}).encode() if isinstance(value, str) else value for value in values]
    return Batch("jsonl", [Record("f.jsonl", number, line) for number, line in enumerate(lines, 1)], 0)


def test_nothing_is_said_where_both_ways_agree(flags):
    assert trial.difference(build(flags), batch(*texts.HARD, b"no JSON", *texts.library_texts(5)), ["text"]) is None
    assert trial.difference(build(flags), batch(b"no JSON"), ["text"]) is None


def test_the_place_of_the_first_difference(flags, flawed):
    said = trial.difference(build(flags), batch(b"no JSON", *TEXTS), ["text"])
    assert said.startswith("f.jsonl, line 3, byte 2 of the text: the quick way of encoding gives other ids")


def test_no_more_than_a_sample_is_tried(flags, flawed, monkeypatch):
    monkeypatch.setattr(trial, "SAMPLE", 5)
    assert trial.difference(build(flags), batch(*TEXTS), ["text"]) is None


@pytest.mark.parametrize("append_eod", [True, False])
def test_the_slower_way_is_taken_and_said(tmp_path, flags, flawed, append_eod):
    file = texts.write_jsonl(tmp_path / "a.jsonl", TEXTS)
    output = PreprocessFlags(output_prefix=str(tmp_path / "x"), workers=1, append_eod=append_eod)
    totals = preprocess(InputFlags(input=(str(file),)), flags, output)
    (warning,) = totals.warnings
    assert warning.startswith(f"{file}, line 2, byte 2 of the text")
    whole = tokenizers.Tokenizer.from_str(texts.byte_level_bpe_json())
    expected = [token for text in TEXTS for token in (*whole.encode(text).ids, *[0] * append_eod)]
    assert np.fromfile(tmp_path / "x_text_document.bin", np.uint16).tolist() == expected
