"""Span corruption: the document can be put together again, sentinels rise, rates are met, nothing else is a label."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megatron_ext.arguments.problems import UserError
from megatron_ext.objectives import span_corruption
from megatron_ext.objectives.reading.draws import Draws
from megatron_ext.objectives.reading.spans import counts
from tests.objectives.made import control, ordinary, setting, tokenizer


def put_together(pair, eod: int) -> list[int]:
    """The document of a pair, by its sentinels."""
    sentinels = {number for name, number in tokenizer().control_tokens.items() if name.startswith("<extra_id_")}
    spans, order = {}, []
    for token in pair.labels[:-1].tolist():
        if token in sentinels:
            order.append(token)
            spans[token] = []
        else:
            spans[order[-1]].append(token)
    found = [part for token in pair.inputs[:-1].tolist() for part in (spans.pop(token) if token in spans else [token])]
    assert not spans and order == [control(f"<extra_id_{number}>") for number in range(len(order))]
    return [*found, eod]


@given(st.integers(0, 250), st.integers(0, 5), st.booleans())
def test_the_document_can_be_put_together_again(length, seed, ended):
    pairs, ids = span_corruption.Pairs(setting("span_corruption")), ordinary(length, seed)
    pair = pairs(ids if ended else ids[:-1], Draws(seed))
    assert put_together(pair, tokenizer().eod) == ids.tolist()
    assert pair.fed is None and pair.positions is None
    assert (len(pair.inputs), len(pair.labels)) == pairs.sizes(length)


def test_the_papers_lengths():
    assert span_corruption.Pairs(setting("span_corruption")).sizes(568) == (512, 114)


def test_the_same_draws_give_the_same_pair():
    pairs, ids = span_corruption.Pairs(setting("span_corruption")), ordinary(100)
    first, again, other = (pairs(ids, Draws(*what)).inputs.tolist() for what in ((1, 2), (1, 2), (1, 3)))
    assert first == again != other


@pytest.mark.parametrize(("rate", "mean"), [(0.15, 3.0), (0.5, 8.0)])
def test_rates_are_met(rate, mean):
    pairs = span_corruption.Pairs(setting("span_corruption", span_corruption_rate=rate, mean_span_length=mean))
    noise = spans = total = 0
    for number in range(500):
        pair = pairs(ordinary(200), Draws(number))
        here = sum(token < 150 for token in pair.inputs[:-1])
        noise, spans, total = noise + len(pair.labels) - 1 - here, spans + here, total + 200
    assert noise / total == pytest.approx(rate, abs=0.003) and noise / spans == pytest.approx(mean, rel=0.05)


def papers_mask(length: int, rate: float, mean: float, generator) -> np.ndarray:
    """Written anew from the description of T5's random_spans_noise_mask: marks of where a segment begins, shuffled."""
    noise = min(max(int(round(length * rate)), 1), length - 1)
    spans = max(int(round(noise / mean)), 1)

    def segments(items: int) -> list[int]:
        begins = [1] * (spans - 1) + [0] * (items - spans)
        generator.shuffle(begins)
        which = np.cumsum([0, *begins])
        return [int((which == segment).sum()) for segment in range(spans)]

    pieces = zip(segments(length - noise), segments(noise))
    return np.array([hidden for plain, noisy in pieces for hidden in [0] * plain + [1] * noisy])


def test_each_place_is_noise_as_often_as_in_the_paper():
    """Which is less often near the beginning, and always at the end."""
    pairs, hidden = span_corruption.Pairs(setting("span_corruption")), np.zeros(60)
    ids, generator = np.append(np.arange(200, 260), tokenizer().eod), np.random.default_rng(0)
    for number in range(4000):
        hidden[np.setdiff1d(np.arange(200, 260), pairs(ids, Draws(number)).inputs) - 200] += 1
    theirs = sum(papers_mask(60, 0.15, 3, generator) for _ in range(4000))
    assert hidden / 4000 == pytest.approx(theirs / 4000, abs=0.04)
    assert hidden[0] == 0 and hidden[-1] == 4000


def test_a_document_has_no_more_spans_than_there_are_sentinels():
    pairs = span_corruption.Pairs(setting("span_corruption"))
    assert counts(pairs.most, 0.15, 3)[1] == 100 < counts(pairs.most + 1, 0.15, 3)[1]


def test_sentinels_that_are_not_there_are_said():
    made = setting("span_corruption")
    without = SimpleNamespace(control_tokens={}, eod=0)
    with pytest.raises(UserError, match="needs control tokens that the tokenizer has not: <extra_id_0>; train one with"):
        span_corruption.Pairs(made.__class__(made.flags, without))
