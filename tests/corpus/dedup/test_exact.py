"""corpus/dedup/exact.py: what is dropped and cut is what a dictionary of all texts so far says, over shards and slices."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.corpus.dedup import exact

PIECES = ["a line\n", "A LINE\n", " a line", "\n", "\n\n", "\n \n", "One. ", "三。", "四！”", "(He said: “no.”) ", "3.14", "x"]
shards_of_texts = st.lists(st.lists(st.lists(st.sampled_from(PIECES), max_size=8).map("".join), max_size=5), max_size=3)


def by_job(keys, slices, times=2):
    """All shards' keys through the jobs: the numbers found, sorted."""
    parts = [exact.by_slice(of_shard, slices) for of_shard in keys]
    jobs = [np.concatenate([part[number] for part in parts]) for number in range(slices)] if keys else []
    return np.sort(np.concatenate([np.empty(0, np.uint64), *(exact.repeated(job, times) for job in jobs)]))


@settings(max_examples=200, deadline=None)
@given(shards_of_texts, st.integers(1, 4))
def test_documents_equal_a_set_of_all_texts(shards, slices):
    bases = np.cumsum([0, *map(len, shards)]).tolist()
    keys = [exact.hash_documents(texts, base, str.lower) for texts, base in zip(shards, bases)]
    seen, expected = set(), []
    for number, text in enumerate(text.lower() for texts in shards for text in texts):
        expected += [number] if text in seen else []
        seen.add(text)
    assert by_job(keys, slices).tolist() == expected


@settings(max_examples=200, deadline=None)
@given(shards_of_texts, st.sampled_from(exact.UNITS), st.integers(1, 4), st.integers(2, 4), st.integers(1, 6))
def test_units_equal_a_set_of_all_units(shards, unit, slices, times, least):
    base, keys, counts, bases = 0, [], [], []
    for texts in shards:
        found = exact.hash_units(texts, unit, base, least=least)
        keys, counts, bases = [*keys, found[0]], [*counts, found[1]], [*bases, base]
        base += int(found[1].sum())
    repeated = by_job(keys, slices, times)
    often = Counter(piece.strip() for texts in shards for text in texts for piece in exact.units(text, unit))
    seen = set()
    for texts, of_documents, begin in zip(shards, counts, bases):
        in_shard = repeated[(repeated >= begin) & (repeated < begin + of_documents.sum())]
        for text, numbers in zip(texts, exact.of_documents(in_shard, of_documents, begin)):
            left = ""
            for piece in exact.units(text, unit):
                normal = piece.strip()
                again = normal in seen and len(normal) >= least and often[normal] >= times
                left += "" if again else piece
                seen.add(normal)
            assert exact.without(text, unit, numbers.tolist()) == left


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("line", "one\n|two\n|\n|three"),
        ("paragraph", "one\ntwo\n\n|three\n \n\n|four\n"),
        ("sentence", "He said: “No.” |Then 3.14 is e.g. |this! |三国。|「四」！”|五\n|six"),
    ],
)
def test_units_by_hand(unit, text):
    assert "|".join(exact.units(text.replace("|", ""), unit)) == text


@given(st.text(), st.sampled_from(exact.UNITS))
def test_units_joined_are_the_text(text, unit):
    assert "".join(exact.units(text, unit)) == text


def test_what_is_left_and_what_is_too_short():
    text = "keep this\nmenu\nand this\n"
    assert exact.without(text, "line", [1]) == "keep this\nand this\n"
    assert exact.without(text, "line", [0, 2], least=5) is None
    assert exact.without(text, "line", [0, 2], least=4) == "menu\n"
    assert exact.without(text, "line", [], least=1000) == text


def test_both_halves_of_a_hash_tell():
    keys = np.array([(1, 5, 0), (2, 5, 1), (1, 6, 2), (2, 5, 3)], exact.KEY)
    assert exact.repeated(keys).tolist() == [3]
