"""Tallies add up, whatever the cut and the order; distributions keep two digits; samples are a draw by hash."""

import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megatron_ext.corpus.cleaning.tally import SAMPLES, Distribution, Few, Sample, StepTally, Tally, hash_of

VALUES = st.lists(st.floats(-1e12, 1e12, allow_nan=False), max_size=50)


def filled(numbers, names):
    """A tally of documents that say what happened to them."""
    tally = Tally([StepTally("read", ["length"]), StepTally("rule", ["a", "b"])])
    reading, rule = tally.steps
    for number, name in zip(numbers, names):
        reading.documents += 1
        reading.bytes += number
        reading.count([(number,)], reading.before)
        rule.count([(number, number / 7), (number,)], rule.before)
        if number % 3:
            rule.drop("short" if number % 2 else "odd", number, Sample(hash_of(name), name, "here", "", name))
        else:
            tally.kept[0] += 1
            tally.keeps.add(Sample(hash_of(name), name, "here", "", name))
        tally.sources[f"s{number % 5}"] = [a + 1 for a in tally.sources.get(f"s{number % 5}", [0] * 4)]
        rule.found["email"] += 1
    return tally


@given(VALUES)
def test_values_are_kept_to_two_digits(values):
    found = Distribution()
    found.add(np.array([*values, float("nan"), float("inf")]))
    assert found.counts.total() == len(values)
    for value in values:
        assert any(abs(kept - value) <= max(0.051 * abs(value), 1e-300) for kept in found.counts), value
    assert all(kept == float(f"{kept:.1e}") for kept in found.counts)


@given(VALUES, VALUES)
def test_distributions_add_up(one, other):
    both, first, second = Distribution(), Distribution(), Distribution()
    both.add(np.array(one + other))
    first.add(np.array(one))
    second.add(np.array(other))
    first.update(second)
    assert first.as_list() == both.as_list()


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_shards_add_up_to_the_whole_in_any_order(parts):
    numbers, names = list(range(200)), [f"document {n}" for n in range(200)]
    whole = filled(numbers, names)
    pieces = [filled(numbers[part::parts], names[part::parts]) for part in range(parts)]
    random.Random(parts).shuffle(pieces)
    total = Tally([StepTally("read", ["length"]), StepTally("rule", ["a", "b"])])
    for piece in pieces:
        total.update(Tally.from_dict(json.loads(json.dumps(piece.as_dict()))))
    assert comparable(total) == comparable(whole)


def comparable(tally):
    found = tally.as_dict()
    for step in found["steps"]:
        step["numbers"] = list(step["numbers"])
        step["samples"] = {reason: step["samples"][reason] for reason in sorted(step["samples"])}
        step["dropped"] = dict(sorted(step["dropped"].items()))
    found["sources"] = dict(sorted(found["sources"].items()))
    return found


def test_samples_are_those_with_the_smallest_hashes():
    names = [f"document {n}" for n in range(500)]
    few = Few()
    for name in names:
        if few.wants(name):
            few.add(Sample(hash_of(name), name, "", "", ""))
    assert [sample.id for sample in few] == sorted(names, key=hash_of)[:SAMPLES]
