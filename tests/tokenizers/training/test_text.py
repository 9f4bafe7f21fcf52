"""Names cut, characters counted: against the plainest way to say the same."""

import collections
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.tokenizers.flags import TrainTokenizerFlags
from megatron_ext.tokenizers.training import _text

FLAGS = TrainTokenizerFlags(additional_special_tokens=("aba", "<<<", "a b"))
NAMES = _text.names_in_text(FLAGS)
ANY_NAME = ["<|endoftext|>", "aba", "<<<", "a b", "<0x41>", "<unk>", "<|reserved_7|>"]


@given(st.lists(st.sampled_from(["a", "b", " ", "<", "x", "中", *ANY_NAME]), max_size=12).map("".join))
def test_no_part_holds_a_name_and_nothing_is_lost(text):
    parts = _text.cut(text, NAMES)
    assert "".join(parts) == text
    assert not any(name in part for part in parts for name in ANY_NAME)
    if not any(name in text for name in ANY_NAME):
        assert parts == [text]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
@settings(max_examples=20, deadline=None)
def test_characters_are_counted(documents):
    assert _text.count_characters(documents) == collections.Counter("".join(documents))


def test_characters_are_counted_across_batches(monkeypatch):
    monkeypatch.setattr(_text, "_BATCH", 3)
    assert _text.count_characters(["ab", "abc", "", "é\U0010ffff"]) == collections.Counter("ababcé\U0010ffff")


@given(st.text("abcdé中", max_size=30), st.floats(0.5, 1.0))
@settings(max_examples=50, deadline=None)
def test_the_fewest_characters_that_cover_the_share(text, share):
    counts = collections.Counter(text)
    kept = _text.covering(counts, share)
    covered = sum(counts[character] for character in kept)
    assert covered >= share * len(text)
    assert all(covered - counts[character] < share * len(text) for character in kept)


@pytest.mark.parametrize("alphabet", ["abc", "]^-\\", "\n中"])
def test_others_are_what_is_not_in_the_alphabet(alphabet):
    text = "x".join(alphabet) + "yz" + alphabet
    assert "".join(_text.others(alphabet).split(text)) == re.sub("[xyz]", "", text)
