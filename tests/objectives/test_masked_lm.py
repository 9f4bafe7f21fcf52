"""Masked language modelling: the text can be put together again; rates, words and sentences are as the papers have them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from megatron_ext.objectives import masked_lm
from megatron_ext.objectives.reading.draws import Draws
from tests import texts
from tests.objectives.made import control, ordinary, setting, tokenizer

CLS, SEP, MASK = (control(name) for name in ("[CLS]", "[SEP]", "[MASK]"))
TASKS = ["none", "next_sentence", "sentence_order"]


def sample(documents, seed: int = 0, length: int = 400, **flags):
    pairs = masked_lm.Pairs(setting("masked_lm", **flags))
    made = [pairs(ids, Draws(seed, number)) for number, ids in enumerate(documents)]
    return masked_lm.Packing(SimpleNamespace(seq_length=length), tokenizer().eod, pairs)(made, Draws(seed, 99))


def originals(found) -> list[list[int]]:
    """The ids of each document, with what was hidden put back."""
    ids = np.where(found["loss_mask"] > 0, found["labels"], found["input_ids"])
    return [ids[found["documents"] == number].tolist() for number in range(found["documents"].max())]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=5), st.integers(0, 5), st.sampled_from(TASKS), st.booleans())
def test_the_text_can_be_put_together_again(lengths, seed, task, words):
    documents = [ordinary(length, number) for number, length in enumerate(lengths)]
    found = sample(documents, seed, sentence_task=task, whole_word_masking=words)
    parts, seconds, asked = [], [], []
    for number, ids in enumerate(originals(found)):
        assert ids[0] == CLS and ids[-1] == SEP
        cut = ids.index(SEP)
        first, second = ids[1:cut], ids[cut + 1 : -1]
        place = np.flatnonzero(found["documents"] == number)
        label = found["sentence_labels"][place]
        assert (label[1:] == -1).all() and (cut < len(ids) - 1 or label[0] == -1)
        asked.append(label[0] != -1)
        assert found["token_types"][place].tolist() == [0] * (cut + 1) + [1] * (len(ids) - cut - 1)
        assert found["position_ids"][place].tolist() == list(range(len(ids)))
        if label[0] == 0 and task == "sentence_order":
            first, second = second, first
        parts.append((first, second, label[0]))
        seconds.append(second)
    for (first, second, label), ids in zip(parts, documents):
        whole = ids[:-1].tolist()
        assert first == whole[: len(first)]
        if label == 0 and task == "next_sentence":
            assert second != whole[len(first) :] and whole[len(first) :] in seconds  # another's, and its own is elsewhere
        else:
            assert first + second == whole
    able = sum(length >= 2 for length in lengths)
    assert sum(asked) == {"none": 0, "next_sentence": able * (able > 1), "sentence_order": able}[task]
    assert not found["loss_mask"][np.isin(found["input_ids"], [CLS, SEP])].any()


def test_rates():
    """15 % exactly; of these 80, 10 and 10 %, the random ones evenly over all that is text."""
    hidden, shows = 0, {"mask": 0, "same": 0, "other": 0}
    for seed in range(200):
        found = sample([ordinary(380, seed)], seed)
        places = np.flatnonzero(found["loss_mask"])
        assert len(places) == round(0.15 * 380)
        for shown, label in zip(found["input_ids"][places], found["labels"][places]):
            shows["mask" if shown == MASK else "same" if shown == label else "other"] += 1
        hidden += len(places)
    for kind, share in (("mask", 0.8), ("same", 0.1), ("other", 0.1)):
        assert shows[kind] / hidden == pytest.approx(share, abs=3 * np.sqrt(share * (1 - share) / hidden) + 2e-4)


def test_the_share_can_be_another():
    assert sample([ordinary(200)], mask_prob=0.4)["loss_mask"].sum() == 80


@pytest.mark.parametrize(("task", "documents"), [("sentence_order", 1), ("next_sentence", 2), ("next_sentence", 3)])
def test_labels_of_sentences_are_even(task, documents):
    """However few documents a sample has; those of a sample are not independent, so that samples are what counts."""
    labels = np.zeros((300, documents))
    for seed in range(len(labels)):
        found = sample([ordinary(9, number) for number in range(documents)], seed, 40, sentence_task=task)
        labels[seed] = found["sentence_labels"][found["sentence_labels"] >= 0]
    assert labels.mean(0) == pytest.approx(0.5, abs=3 * 0.5 / np.sqrt(len(labels)))


def test_whole_words():
    """All pieces of a word are predicted, or none; about as many tokens as without."""
    ids = np.array(tokenizer().encode(texts.library_texts()[2][:1200]))
    pieces = [tokenizer().decode([token]) for token in ids]
    begins = [place for place, piece in enumerate(pieces) if place == 0 or not piece[0].isalnum()]
    shares = []
    for seed in range(60):
        found = sample([ids], seed, length=len(ids) + 2, whole_word_masking=True)
        predicted = found["loss_mask"][1:-1] > 0
        for begin, end in zip(begins, [*begins[1:], len(ids)]):
            assert predicted[begin:end].all() or not predicted[begin:end].any()
        shares.append(predicted.mean())
    assert np.mean(shares) == pytest.approx(0.15, abs=0.01)


def test_what_counts_is_what_was_asked():
    batch = {"loss_mask": torch.tensor([[0.0, 1.0, 0.0]]), "sentence_labels": torch.tensor([[1, -1, -1]])}
    total, count = masked_lm.loss(torch.tensor([[5.0, 7.0, 9.0]]), batch)
    assert (total.item(), count.item()) == (12.0, 1)
