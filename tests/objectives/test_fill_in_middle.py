"""Filling in the middle: the text can be put together again, rates are met, parts are tokenized as texts of their own."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megatron_ext.arguments.problems import UserError
from megatron_ext.objectives import fill_in_middle
from megatron_ext.objectives.reading.draws import Draws
from tests import texts
from tests.objectives.made import control, setting, tokenizer

PREFIX, MIDDLE, SUFFIX = ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>")


def parts(ids: list[int]) -> tuple[str, list[int], list[int], list[int]]:
    """`(kind, prefix, middle, suffix)`; in SPM the first two cannot be told apart, and stand together as the middle."""
    first, middle, last = (ids.index(control(name)) for name in (PREFIX, MIDDLE, SUFFIX))
    assert first == 0 and last < middle
    kind = "SPM" if last == 1 else "PSM"
    return kind, ids[1:last], ids[middle + 1 :], ids[last + 1 : middle]


@given(st.text(min_size=1, max_size=200), st.integers(0, 10), st.booleans())
def test_the_text_can_be_put_together_again(text, seed, ended):
    ids = tokenizer().encode(text) + [tokenizer().eod] * ended
    pair = fill_in_middle.Pairs(setting("fill_in_middle", fim_rate=1.0))(_array(ids), Draws(seed))
    labels = pair.labels.tolist()
    assert not len(pair.inputs) and (labels[-1] == tokenizer().eod) == ended
    labels = labels[: len(labels) - ended]
    _, prefix, middle, suffix = parts(labels)
    decode = tokenizer().decode
    assert decode(prefix) + decode(middle) + decode(suffix) == text


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 5))
def test_a_stretch_that_ends_within_a_character_loses_nothing(first, last, seed):
    """Emoji are tokens of a byte each here."""
    ids = tokenizer().encode("👩🚀🎉中文 x 👩🚀🎉")
    assert len(ids) > 24
    ids = ids[first : len(ids) - last]
    labels = fill_in_middle.Pairs(setting("fill_in_middle", fim_rate=1.0))(_array(ids), Draws(seed)).labels.tolist()
    _, prefix, middle, suffix = parts(labels)
    together = _bytes([*prefix, *middle, *suffix])
    assert together == _bytes(ids)


def test_rates():
    pairs = fill_in_middle.Pairs(setting("fill_in_middle", fim_rate=0.4, fim_spm_rate=0.25))
    ids, kinds = _array(tokenizer().encode(texts.library_texts()[0][:300])), []
    for number in range(2000):
        labels = pairs(ids, Draws(number)).labels.tolist()
        kinds.append(parts(labels)[0] if control(MIDDLE) in labels else "plain")
        if kinds[-1] == "plain":
            assert labels == ids.tolist()
    assert kinds.count("plain") / 2000 == pytest.approx(0.6, abs=0.033)
    assert kinds.count("SPM") / (2000 - kinds.count("plain")) == pytest.approx(0.25, abs=0.046)


def test_a_part_is_tokenized_as_a_text_of_its_own():
    """So that what somebody asks to be filled in looks as it did in training."""
    text, encode, decode = texts.library_texts()[1][:400], tokenizer().encode, tokenizer().decode
    pairs = fill_in_middle.Pairs(setting("fill_in_middle", fim_rate=1.0, fim_spm_rate=0.0))
    for number in range(50):
        labels = pairs(_array(encode(text)), Draws(number)).labels.tolist()
        for part in parts(labels)[1:]:
            assert encode(decode(part)) == part


@pytest.mark.parametrize("part", ["prefix", "middle", "suffix"])
def test_sentinels_that_are_not_there_are_said(part):
    with pytest.raises(UserError, match=re.escape(f"needs control tokens that the tokenizer has not: <fim_{part}>")):
        fill_in_middle.Pairs(setting("fill_in_middle", **{f"fim_{part}_token": f"<fim_{part}>"}))


def _array(ids):
    import numpy as np

    return np.array(ids, np.int64)


def _bytes(ids) -> bytes:
    """What tokens stand for, byte by byte, whole characters or not."""
    import json

    from megatron_ext.tokenizers.byte_level import BYTE_OF

    names = {number: name for name, number in json.loads(tokenizer().content)["model"]["vocab"].items()}
    return bytes(BYTE_OF[character] for token in ids for character in names[token])
