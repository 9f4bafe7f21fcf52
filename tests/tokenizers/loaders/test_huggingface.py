"""Against tokenizers itself: the same ids, but for control tokens in the text and for settings that lose text."""

import json
import os
import threading

import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from megatron_ext.arguments.problems import UserError
from megatron_ext.tokenizers.byte_pairs import LONGEST_RUN
from megatron_ext.tokenizers.loaders.huggingface import HuggingFaceTokenizer
from tests import texts


def write(folder, content):
    file = folder / "tokenizer.json"
    file.write_text(content, encoding="utf-8")
    return file


def test_ids_are_those_of_tokenizers(tmp_path):
    for content in (texts.byte_level_bpe_json(), texts.unigram_json()):
        ours, theirs = HuggingFaceTokenizer(write(tmp_path, content)), tokenizers.Tokenizer.from_str(content)
        for text in texts.library_texts():
            assert ours.encode(text) == theirs.encode(text, add_special_tokens=False).ids
        assert ours.vocab_size == theirs.get_vocab_size()


def test_an_old_file_that_leaves_things_out(tmp_path):
    """As GPT-2's own does."""
    config = json.loads(texts.byte_level_bpe_json())
    del config["model"]["type"], config["model"]["byte_fallback"], config["model"]["ignore_merges"]
    config["model"]["merges"] = [" ".join(pair) for pair in config["model"]["merges"]]
    old = HuggingFaceTokenizer(write(tmp_path, json.dumps(config)))
    new = HuggingFaceTokenizer(write(tmp_path, texts.byte_level_bpe_json()))
    assert old._fast is not None
    assert [old.encode(text) for text in texts.HARD] == [new.encode(text) for text in texts.HARD]


def test_our_own_tokenizer_takes_the_fast_way_but_for_endless_white_space(tmp_path):
    ours = HuggingFaceTokenizer(write(tmp_path, texts.byte_level_bpe_json()))
    assert ours._fast is not None
    endless = "x" + " " * (LONGEST_RUN + 1) + "y"
    assert ours.decode(ours.encode(endless)) == endless


def test_the_slow_way_gives_the_same_ids_one_by_one_and_in_batches(tmp_path, monkeypatch):
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    ours, some = HuggingFaceTokenizer(write(tmp_path, texts.byte_level_bpe_json())), [*texts.HARD, *texts.library_texts(5)]
    assert ours.difference(some) is None
    quick = [ours.encode(text) for text in some]
    assert ours.encode_batch(some) == quick
    ours.take_the_slow_way()
    assert [ours.encode(text) for text in some] == ours.encode_batch(some) == quick
    ids, lengths = ours.encode_flat(some, ours.eod)
    assert (ids.tolist(), lengths.tolist()) == (sum((each + [ours.eod] for each in quick), []), [len(each) + 1 for each in quick])
    assert "TOKENIZERS_PARALLELISM" not in os.environ


def test_a_batch_is_encoded_in_one_thread(tmp_path, monkeypatch):
    """Whoever wants more cores starts more processes; what the environment said before, it says again."""
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    ours = HuggingFaceTokenizer(write(tmp_path, texts.unigram_json()))
    before = threading.active_count(), len(os.listdir("/proc/self/task"))
    ours.encode_batch(texts.library_texts(20))
    assert (threading.active_count(), len(os.listdir("/proc/self/task"))) == before
    assert os.environ["TOKENIZERS_PARALLELISM"] == "true"


def test_a_control_token_in_the_text_is_text(tmp_path):
    """tokenizers' own `encode_special_tokens` does not keep Unigram from finding </s> among its pieces."""
    theirs = tokenizers.Tokenizer.from_str(texts.unigram_json())
    theirs.encode_special_tokens = True
    assert theirs.token_to_id("</s>") in theirs.encode("a </s> b").ids
    ours = HuggingFaceTokenizer(write(tmp_path, texts.unigram_json()))
    ids = ours.encode("a </s> b")
    assert ours.eod == theirs.token_to_id("</s>") and ours.eod not in ids
    assert ours.decode(ids) == "a </s> b"


def word_level(special, vocab=None):
    vocab = vocab or {"<unk>": 0, "[SEP]": 1, "a": 2, "b": 3}
    tokenizer = tokenizers.Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(special)
    return tokenizer


def test_a_control_token_that_is_a_word_is_unknown_in_the_text(tmp_path):
    ours = HuggingFaceTokenizer(write(tmp_path, word_level(["<unk>", "[SEP]"]).to_str()), "[SEP]")
    assert (ours.eod, ours.encode("a [SEP] b <unk>")) == (1, [2, 0, 3, 0])


def test_ids_of_added_tokens_stay_where_they_were(tmp_path):
    """Control tokens inside and outside the model's vocabulary, and an added token that is text, between each other."""
    tokenizer = word_level(["<one>"])
    tokenizer.add_tokens(["text"])
    tokenizer.add_special_tokens(["[SEP]", "<two>"])
    ours = HuggingFaceTokenizer(write(tmp_path, tokenizer.to_str()), "<two>")
    assert ours.eod == tokenizer.token_to_id("<two>") == 6
    assert ours.encode("a text b") == tokenizer.encode("a text b").ids == [2, 5, 3]
    assert ours.encode("<one> <two> [SEP]") == [0, 0, 0]
    assert list(ours.token_bytes()) == [0, 0, 1, 1, 0, 4, 0]


def test_nothing_of_the_text_is_cut_off_padded_dropped_or_wrapped(tmp_path):
    tokenizer = tokenizers.Tokenizer.from_str(texts.byte_level_bpe_json())
    plain = tokenizer.encode("some words and more words").ids
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=50)
    tokenizer.post_processor = processors.TemplateProcessing("<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)])
    config = json.loads(tokenizer.to_str())
    config["model"]["dropout"] = 0.9
    ours = HuggingFaceTokenizer(write(tmp_path, json.dumps(config)))
    assert {tuple(ours.encode("some words and more words")) for _ in range(5)} == {tuple(plain)}


def test_bytes_of_a_model_like_llama_2s(tmp_path):
    """BPE with a normalizer that writes spaces as U+2581 and with byte fallback."""
    pieces = ["<unk>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", "a", "b", "\u2581a", "ab", "\u2581ab", "é"]
    vocab = {piece: place for place, piece in enumerate(pieces)}
    merges = [("\u2581", "a"), ("\u2581a", "b"), ("a", "b")]
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens(["<unk>", "</s>"])
    ours = HuggingFaceTokenizer(write(tmp_path, tokenizer.to_str()))
    assert ours.prefix_bytes == 1
    for text in ("ab ab", " ab  é", "中文", "</s>a"):
        ids = ours.encode(text)
        assert ours.decode(ids) == text and ours.eod not in ids
        assert ours.token_bytes()[ids].sum() == len(text.encode()) + 1


def test_the_end_token_may_come_from_the_file_beside_it(tmp_path):
    file = write(tmp_path, word_level(["<stop>"]).to_str())
    with pytest.raises(UserError, match="--eod-token"):
        HuggingFaceTokenizer(file)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": {"content": "<stop>"}}))
    assert HuggingFaceTokenizer(file).eod == 4


@pytest.mark.parametrize("content", ["", "{}", '{"model": {"type": "BPE"}}', "not json"])
def test_a_broken_file_is_one_sentence(tmp_path, content):
    with pytest.raises(UserError, match="is not a tokenizer.json"):
        HuggingFaceTokenizer(write(tmp_path, content))


def test_u2581_counts_its_own_bytes_where_it_stands_for_no_space(tmp_path):
    tokenizer = tokenizers.Tokenizer(models.WordLevel({"<unk>": 0, "\u2581": 1, "<stop>": 2}, unk_token="<unk>"))
    tokenizer.add_special_tokens(["<stop>"])
    assert HuggingFaceTokenizer(write(tmp_path, tokenizer.to_str()), "<stop>").token_bytes().tolist() == [0, 3, 0]
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    assert HuggingFaceTokenizer(write(tmp_path, tokenizer.to_str()), "<stop>").token_bytes().tolist() == [0, 1, 0]


def test_the_name_of_what_is_unknown_is_text(tmp_path):
    """tokenizers' Unigram finds it among its pieces."""
    ours = HuggingFaceTokenizer(write(tmp_path, texts.unigram_json()))
    assert ours.decode(ours.encode("a <unk> b")) == "a <unk> b"
