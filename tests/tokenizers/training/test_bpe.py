"""Against tokenizers' own BPE, learned without our preparations."""

import json

import tokenizers
from tokenizers import Regex, models, pre_tokenizers, trainers

from megatron_ext.tokenizers.flags import TrainTokenizerFlags
from megatron_ext.tokenizers.training._huggingface import LONGEST_TOKEN, pattern
from megatron_ext.tokenizers.training.bpe import train
from tests import texts


def test_merges_are_those_of_tokenizers_where_all_characters_are_kept():
    found = json.loads(
        train(texts.library_texts(), TrainTokenizerFlags(vocab_size=800, character_coverage=1.0))["tokenizer.json"]
    )
    theirs = tokenizers.Tokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.Split(Regex(pattern(TrainTokenizerFlags())), "isolated")
    theirs.train_from_iterator(
        texts.library_texts(),
        trainers.BpeTrainer(vocab_size=800 - 257, min_frequency=2, show_progress=False, max_token_length=LONGEST_TOKEN),
    )
    expected = json.loads(theirs.to_str())["model"]
    assert found["model"]["merges"] == expected["merges"]
    assert [token for token, number in found["model"]["vocab"].items() if number > 256] == list(expected["vocab"])


def test_ids_are_those_of_tokenizers_own(tmp_path):
    contents = texts.learned("bpe")
    ours, theirs = texts.load(contents, tmp_path), tokenizers.Tokenizer.from_str(contents["tokenizer.json"].decode())
    for text in texts.library_texts():
        ids = theirs.encode(text).ids
        assert ours.encode(text) == ids and theirs.decode(ids) == text


def test_a_space_is_a_space_and_no_token_crosses_pieces():
    vocab = json.loads(texts.learned("bpe")["tokenizer.json"])["model"]["vocab"]
    assert " the" in vocab and not any("\u2581" in token for token in vocab)
    assert not any(" " in token.strip(" ") for token in vocab if token.strip(" "))


def test_rare_pairs_are_not_merged():
    rare = ["zq zq zq", "common common common common common common"]
    found = train(rare, TrainTokenizerFlags(vocab_size=400, min_frequency=4, character_coverage=1.0))
    vocab = json.loads(found["tokenizer.json"])["model"]["vocab"]
    assert "zq" not in vocab and "common" in vocab
