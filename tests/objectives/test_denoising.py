"""Denoising: the document is what is predicted; what is given has nothing but its tokens and masks, at the rates asked for."""

import collections

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megatron_ext.arguments.problems import UserError
from megatron_ext.objectives import denoising
from megatron_ext.objectives.reading.draws import Draws
from tests import texts
from tests.objectives.made import control, ordinary, setting, tokenizer

MASK = control("[MASK]")
OFF = dict(permute_sentences_rate=0.0, infill_rate=0.0)


def made(ids, seed: int, **flags):
    return denoising.Pairs(setting("denoising", **flags))(ids, Draws(seed))


@given(st.integers(0, 120), st.integers(0, 20), st.floats(0, 0.9), st.floats(1, 20))
def test_what_is_given_lacks_spans_alone(length, seed, rate, mean):
    """In order, a mask for each; as many tokens are gone as were to go."""
    ids = ordinary(length, seed)
    pair = made(ids, seed, permute_sentences_rate=0.0, infill_rate=rate, infill_mean=mean)
    assert pair.labels.tolist() == ids.tolist() and pair.inputs[-1] == tokenizer().eod
    given_, rest = pair.inputs[:-1].tolist(), ids[:-1].tolist()
    kept = [token for token in given_ if token != MASK]
    assert len(rest) - len(kept) == round(length * rate)
    places = iter(rest)
    assert all(token in places for token in kept), "out of order"


def test_spans_are_poissons():
    """Told by the gaps between numbers that rise."""
    ids, lengths = np.arange(200, 800), []
    ids = np.append(ids, tokenizer().eod)
    for seed in range(150):
        given_ = made(ids, seed, permute_sentences_rate=0.0, infill_rate=0.1).inputs[:-1]
        at = 0
        while at < len(given_):
            if given_[at] == MASK:
                masks = at
                while at < len(given_) and given_[at] == MASK:
                    at += 1
                before = given_[masks - 1] if masks else 199
                after = given_[at] if at < len(given_) else 800
                if at - masks == 1:  # of several together none knows which is how long
                    lengths.append(after - before - 1)
            at += 1
    longer = made(ids, 0, permute_sentences_rate=0.0, infill_rate=0.1, infill_mean=20.0)
    assert (longer.inputs == MASK).sum() < 8
    counts = np.bincount(lengths, minlength=12)[:8] / len(lengths)
    expected = [np.exp(-3) * 3.0**k / np.prod(np.arange(1, k + 1)) for k in range(8)]
    assert counts == pytest.approx(np.array(expected), abs=0.03)


def test_sentences_are_shuffled_whole():
    text = "One is here. Two is a bit longer! Is three? Four ends.\nFive"
    ids = np.append(tokenizer().encode(text), tokenizer().eod)
    orders = collections.Counter()
    for seed in range(200):
        given_ = tokenizer().decode(made(ids, seed, infill_rate=0.0).inputs)
        orders[given_] += 1
        assert sorted(given_) == sorted(text) and "Two is a bit longer!" in given_
    assert len(orders) > 60


@pytest.mark.parametrize(
    ("flag", "changes"), [("token_mask_rate", "mask"), ("token_replace_rate", "other"), ("token_delete_rate", "gone")]
)
def test_rates_of_single_tokens(flag, changes):
    ids, seen, total = ordinary(300), collections.Counter(), 0
    for seed in range(100):
        given_ = made(ids, seed, **OFF, **{flag: 0.2}).inputs[:-1]
        total += 300
        seen["gone"] += 300 - len(given_)
        seen["mask"] += int((given_ == MASK).sum())
        if len(given_) == 300:
            seen["other"] += int((given_ != ids[:-1]).sum()) - int((given_ == MASK).sum())
    assert seen[changes] / total == pytest.approx(0.2, abs=0.01) and sum(seen.values()) == seen[changes]


def test_a_document_may_begin_in_its_middle():
    ids, rotated = ordinary(50), 0
    for seed in range(400):
        given_ = made(ids, seed, **OFF, rotate_rate=0.5).inputs[:-1].tolist()
        whole = ids[:-1].tolist()
        turns = [whole[k:] + whole[:k] for k in range(50)]
        assert given_ in turns
        rotated += given_ != whole
    assert rotated / 400 == pytest.approx(0.5 * 49 / 50, abs=0.075)


def test_text_is_real_too():
    ids = np.append(tokenizer().encode(texts.library_texts()[3]), tokenizer().eod)
    pair = made(ids, 1)
    assert pair.labels.tolist() == ids.tolist() and MASK in pair.inputs


def test_the_mask_may_have_another_name():
    ids = ordinary(100)
    named, usual = (made(ids, 1, mask_token=name).inputs for name in ("[sMASK]", "[MASK]"))
    assert (named == control("[sMASK]")).sum() == (usual == MASK).sum() > 0
    with pytest.raises(UserError, match="control tokens that the tokenizer has not: <mask>"):
        made(ids, 1, mask_token="<mask>")
