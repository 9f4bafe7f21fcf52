"""Segmentations are the likeliest of all; and EM makes text as short as tokenizers' own trainer does."""

import json
import math

import regex
import tokenizers
from tokenizers import Regex, models, pre_tokenizers, trainers

from megatron_ext.tokenizers.flags import TrainTokenizerFlags
from megatron_ext.tokenizers.training._huggingface import pattern
from tests import texts

WORDS = regex.compile(pattern(TrainTokenizerFlags()))


def model():
    return json.loads(texts.learned("unigram")["tokenizer.json"])["model"]


def best(word, scores):
    """The score of the likeliest segmentation: dynamic programming over all pieces; None where there is none."""
    found = [0.0] + [-math.inf] * len(word)
    for end in range(1, len(word) + 1):
        found[end] = max(found[begin] + scores.get(word[begin:end], -math.inf) for begin in range(end))
    return found[-1] if found[-1] > -math.inf else None


def test_ids_are_the_likeliest_pieces_word_by_word(tmp_path):
    ours, vocab = texts.load(texts.learned("unigram"), tmp_path), model()["vocab"]
    scores = dict(vocab[2 + 256 :])
    words = sorted({word for text in texts.library_texts(10) for word in WORDS.findall(text)})
    compared = 0
    for word in words:
        expected = best(word, scores)
        ids = ours.encode(word)
        if expected is not None:
            compared += 1
            assert math.isclose(sum(vocab[number][1] for number in ids), expected, rel_tol=1e-9), word
    assert compared > 0.95 * len(words)


def test_bytes_cost_more_than_their_names_written_out():
    vocab = model()["vocab"]
    least = min(score for _, score in vocab[2 + 256 :])
    assert {score for _, score in vocab[2 : 2 + 256]} == {8 * least}
    assert set("<0x>0123456789ABCDEF") <= {piece for piece, _ in vocab}


def test_scores_are_logarithms_of_probabilities_from_the_likeliest_on():
    scores = [score for _, score in model()["vocab"][2 + 256 :]]
    assert scores == sorted(scores, reverse=True)
    assert 0.9 < sum(map(math.exp, scores)) < 1.1


def test_held_out_text_is_as_short_as_by_tokenizers_trainer(tmp_path):
    theirs = tokenizers.Tokenizer(models.Unigram())
    theirs.pre_tokenizer = pre_tokenizers.Split(Regex(pattern(TrainTokenizerFlags())), "isolated")
    trainer = trainers.UnigramTrainer(vocab_size=2000 - 257, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False)
    theirs.train_from_iterator(texts.library_texts(), trainer)
    ours = texts.load(texts.learned("unigram", vocab_size=2000), tmp_path)
    held_out = [text for text in texts.library_texts(60) if text not in texts.library_texts()]
    assert sum(map(len, ours.encode_batch(held_out))) < 1.02 * sum(len(theirs.encode(text).ids) for text in held_out)
