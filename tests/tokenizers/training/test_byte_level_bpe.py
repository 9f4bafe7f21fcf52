"""What is learned is a lossless byte-level BPE, the same every time, that tokenizers itself can read."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
import tokenizers

from megatron_ext.tokenizers.byte_level import fast_encoding
from megatron_ext.tokenizers.flags import TrainTokenizerFlags
from megatron_ext.tokenizers.training._huggingface import LONGEST_TOKEN
from megatron_ext.tokenizers.training.byte_level_bpe import train
from tests import texts

ROOT = pathlib.Path(__file__).resolve().parents[3]


def learn(documents, flags):
    return tokenizers.Tokenizer.from_str(train(documents, flags)["tokenizer.json"].decode())


def test_lossless_by_tokenizers_own_decoder():
    learned = tokenizers.Tokenizer.from_str(texts.byte_level_bpe_json())
    for text in (*texts.HARD, *texts.library_texts()):
        ids = learned.encode(text.replace("<|endoftext|>", "")).ids
        assert learned.decode(ids, skip_special_tokens=False) == text.replace("<|endoftext|>", "")


def test_size_and_end_token():
    learned = learn(texts.library_texts(), TrainTokenizerFlags(vocab_size=500, eod_token="<end>"))
    assert learned.get_vocab_size() == 500
    assert learned.token_to_id("<end>") == 0


@pytest.mark.parametrize("split", [True, False])
def test_digits(split):
    years = [f"{number} " for number in range(100, 400)] * 5
    learned = learn(years, TrainTokenizerFlags(vocab_size=400, split_digits=split))
    tokens = learned.encode("123 4567").tokens
    assert (max(map(len, tokens)) == 1) == split
    assert all(sum(character.isdigit() for character in token) <= 1 for token in learned.get_vocab()) == split


def test_rare_pairs_are_not_merged():
    rare = ["zq zq zq", "common common common common common common"]
    learned = learn(rare, TrainTokenizerFlags(vocab_size=400, min_frequency=4))
    assert "zq" not in learned.get_vocab() and "common" in learned.get_vocab()


def test_tokens_are_not_endless():
    learned = learn(["-" * 500] * 50, TrainTokenizerFlags(vocab_size=800))
    assert max(map(len, learned.get_vocab())) <= LONGEST_TOKEN


def test_the_same_text_gives_the_same_tokenizer_in_any_process_with_any_number_of_threads(tmp_path):
    code = "from tests import texts; import sys; sys.stdout.write(texts.byte_level_bpe_json())"
    for threads in ("1", "3"):
        environment = {**os.environ, "RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": threads, "PYTHONPATH": str(ROOT)}
        found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert found.stdout == texts.byte_level_bpe_json()


def test_what_is_learned_can_be_encoded_the_fast_way():
    content = texts.byte_level_bpe_json()
    assert fast_encoding(json.loads(content), tokenizers.Tokenizer.from_str(content)) is not None
