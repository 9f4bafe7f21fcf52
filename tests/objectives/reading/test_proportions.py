"""Hands of ways to corrupt: each as often as asked for, parts that fill both rooms, the same for the same sample."""

import collections

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.objectives import mixture_of_denoisers, prefix_lm
from megatron_ext.objectives.reading.draws import Draws
from megatron_ext.objectives.reading.proportions import Hands, longest
from tests.objectives.made import setting

UL2 = mixture_of_denoisers.Pairs(setting("mixture_of_denoisers"))


class Rate:
    """So many tokens for the encoder and for the decoder of a raw one."""

    def __init__(self, inputs: float, labels: float):
        self.rates = inputs, labels

    def sizes(self, length: int) -> tuple[int, int]:
        return tuple(round(length * rate) for rate in self.rates)


def played(hands: Hands, number: int, room, document: int) -> tuple[list, np.ndarray]:
    """`(way and raw tokens of each part, what is left of the rooms)` of a sample with documents of one length."""
    plan, left, found = hands.deal(Draws(1, number), document), np.array(room), []
    while True:
        way, most = plan.next(left)
        length = min(_that_fits(way, left), most, document)
        if length < 2:
            return found, left
        if not found or found[-1][0] is not way:
            found.append([way, 0])
        found[-1][1] += length
        left = left - way.sizes(length)
        plan.took(length)


def _that_fits(way, left: np.ndarray) -> int:
    return longest(lambda length: all(np.array(way.sizes(length)) <= left), 10_000)


@pytest.mark.parametrize(("room", "document"), [
    ((512, 256), 10_000), *(pytest.param(*case, marks=pytest.mark.full) for case in (((512, 200), 10_000), ((512, 256), 150)))
])  # fmt: skip
def test_denoisers_have_their_shares(room, document):
    """Of the parts within three standard errors of 10,000 that were drawn one by one; of the tokens as the rooms dictate."""
    hands = Hands(UL2.at, room)
    parts, tokens = collections.Counter(), collections.Counter()
    for number in range(10_000 // hands.parts):
        for way, length in played(hands, number, room, document)[0]:
            parts[way] += 1
            tokens[way] += length
    total = parts.total()
    assert total >= 9_900 and len(parts) == 7
    for count in parts.values():
        assert abs(count / total - 1 / 7) <= 3 * np.sqrt(1 / 7 * 6 / 7 / total)
    if room == (512, 256):
        shares = np.array(list(tokens.values())) / tokens.total()
        assert shares.min() > 0.7 / 7 and shares.max() < 1.4 / 7


def test_shares_of_prefixes_are_even():
    hands = Hands(prefix_lm.Pairs(setting("prefix_lm")).at, (512, 512))
    found = []
    for number in range(10_000 // hands.parts):
        plan = hands.deal(Draws(2, number), 1000)
        found += [way.sizes(1001)[0] / 1001 for way in plan._ways]
    counts, _ = np.histogram(found, bins=10, range=(0, 1))
    assert abs(counts / len(found) - 0.1).max() <= 3 * np.sqrt(0.09 / len(found))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.3, 1), st.floats(0.05, 1)), min_size=1, max_size=6), st.integers(200, 2000),
    st.floats(0.0, 1.0), st.sampled_from([40, 300, 10_000]), st.integers(0, 9),
)  # fmt: skip
def test_any_ways_fill_rooms_in_their_own_proportion(rates, encoder, between, document, number):
    """Rooms in a proportion that lies between what the leanest and the richest way give, well within."""
    ways = sorted((Rate(*rate) for rate in rates), key=lambda way: way.rates[1] / way.rates[0])
    mean = np.mean([way.rates for way in ways], axis=0)
    room = (encoder, max(round(encoder * mean[1] / mean[0]), 20))
    hands = Hands(lambda quantile: ways[int(quantile * len(ways))], room)
    found, left = played(hands, number, room, document)
    again, _ = played(Hands(lambda quantile: ways[int(quantile * len(ways))], room), number, room, document)
    assert found == again
    assert (left >= 0).all() and left.sum() <= 0.1 * sum(room) + 8 * len(found)


def test_a_hand_of_one_way_has_no_parts():
    hands = Hands(lambda quantile: Rate(0.9, 0.2), (900, 200))
    assert hands.parts == 1 and hands.step == 1000 and hands.deal(Draws(0), 100).next((900, 200))[1] > 10_000
