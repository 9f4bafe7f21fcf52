"""Each rate of each objective hits its mean within three standard errors of 10,000 documents."""

from __future__ import annotations

import functools
from types import SimpleNamespace

import numpy as np
import pytest

from megatron_ext.arguments.registry import Registry
from megatron_ext.objectives import masked_lm
from megatron_ext.objectives.reading.draws import Draws
from megatron_ext.objectives.reading.pairs import Pair
from tests.objectives.made import control, ordinary, setting, tokenizer

DOCUMENTS, LENGTH = 10_000, 40
BODY = ordinary(LENGTH)[:-1]
CHARACTERS = len(tokenizer().decode(BODY))
QUIET = dict(permute_sentences_rate=0.0, infill_rate=0.0)


@functools.cache
def pairs(objective: str, **flags):
    return Registry("megatron_ext.objectives").load(objective).Pairs(setting(objective, **flags))


@functools.lru_cache(maxsize=DOCUMENTS)
def made(objective: str, number: int, **flags) -> Pair:
    draws = Draws(3, number)
    return pairs(objective, **flags).choose(draws)(ordinary(LENGTH), draws)


def has(objective: str, token: str, part: str = "inputs", **flags):
    """Whether a document has a control token in a part of its pair."""
    return lambda number: control(token) in getattr(made(objective, number, **flags), part)


def kept(objective: str, **flags):
    """The share of a document's tokens that are where they were, of what is given of it."""
    return lambda number: np.mean(made(objective, number, **flags).inputs[:LENGTH] == BODY)


def gone(objective: str, **flags):
    """The share of a document's tokens that are not given."""
    return lambda number: 1 - np.mean(np.isin(made(objective, number, **flags).inputs, BODY).sum() / LENGTH)


@functools.lru_cache(maxsize=DOCUMENTS)
def hidden(number: int, **flags) -> dict[str, np.ndarray]:
    """A document as masked_lm gives it."""
    of = pairs("masked_lm", **flags)
    packing = masked_lm.Packing(SimpleNamespace(seq_length=LENGTH + 3), tokenizer().eod, of)
    return packing([of(ordinary(LENGTH), Draws(5, number))], Draws(5, number, 9))


def of_masked_lm(what: str, **flags):
    """The share of what is predicted that shows as itself, [MASK] or another, or that is right of what [CLS] is asked."""

    def found(number: int) -> float:
        sample = hidden(number, **flags)
        if what == "right":
            return np.mean(sample["sentence_labels"][sample["sentence_labels"] >= 0])
        shown, labels = (sample[name][sample["loss_mask"] > 0] for name in ("input_ids", "labels"))
        if what == "predicted":
            return len(labels) / LENGTH
        return np.mean({"mask": shown == control("[MASK]"), "same": shown == labels}[what])

    return found


RATES = {
    "prefix_lm, share of the prefix": (lambda number: len(made("prefix_lm", number).inputs) / (LENGTH + 1), 0.5),
    "fill_in_middle, of the documents": (has("fill_in_middle", "<|fim_middle|>", "labels", fim_rate=0.3), 0.3),
    "fill_in_middle, SPM": (
        lambda number: made("fill_in_middle", number, fim_rate=1.0, fim_spm_rate=0.2).labels[1] == control("<|fim_suffix|>"),
        0.2 + 0.8 * (1 - (CHARACTERS / (CHARACTERS + 1)) ** 2),  # PSM without a prefix looks like it
    ),
    "span_corruption, noise": (gone("span_corruption", span_corruption_rate=0.2), 0.2),
    "mixture_of_denoisers, R": (has("mixture_of_denoisers", "[R]"), 2 / 7),
    "mixture_of_denoisers, S": (has("mixture_of_denoisers", "[S]"), 1 / 7),
    "mixture_of_denoisers, X": (has("mixture_of_denoisers", "[X]"), 4 / 7),
    "blank_infilling, [gMASK]": (has("blank_infilling", "[gMASK]"), 0.7),
    "blank_infilling, blanks": (gone("blank_infilling", gmask_rate=0.0, blank_rate=0.25), 0.25),
    "masked_lm, predicted": (of_masked_lm("predicted", mask_prob=0.2), 0.2),
    "masked_lm, [MASK]": (of_masked_lm("mask", mask_prob=0.2), 0.8),
    "masked_lm, as it is": (of_masked_lm("same", mask_prob=0.2), 0.1 + 0.1 / 683),
    "masked_lm, sentences in order": (of_masked_lm("right", sentence_task="sentence_order"), 0.5),
    "denoising, infilled": (gone("denoising", permute_sentences_rate=0.0, infill_rate=0.3), 0.3),
    "denoising, masked": (gone("denoising", **QUIET, token_mask_rate=0.1), 0.1),
    "denoising, replaced": (
        lambda number: 1 - kept("denoising", **QUIET, token_replace_rate=0.1)(number),
        0.1 * (1 - 1 / 683),
    ),
    "denoising, deleted": (
        lambda number: 1 - (len(made("denoising", number, **QUIET, token_delete_rate=0.1).inputs) - 1) / LENGTH,
        0.1,
    ),
    "denoising, rotated": (
        lambda number: kept("denoising", **QUIET, rotate_rate=0.4)(number) < 1,
        0.4 * (1 - 1 / LENGTH),
    ),
}


# Of the others fewer documents are tried beside each objective by default.
BY_DEFAULT = ("prefix_lm", "mixture_of_denoisers", "blank_infilling, blanks", "masked_lm", "denoising, infilled")
MARKED = [pytest.param(rate, marks=[] if rate.startswith(BY_DEFAULT) else [pytest.mark.full]) for rate in RATES]


@pytest.mark.parametrize("rate", MARKED)
def test_rate(rate):
    measure, mean = RATES[rate]
    found = np.array([float(measure(number)) for number in range(DOCUMENTS)])
    assert abs(found.mean() - mean) <= 3 * found.std() / np.sqrt(DOCUMENTS) + 1e-9, (found.mean(), mean)
