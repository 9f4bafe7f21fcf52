"""Sample i is a function of (seed, i) alone, and an epoch holds every token once."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.arguments.problems import UserError
from megatron_ext.data import packing
from megatron_ext.data.cache import Cache
from megatron_ext.data.index import Documents
from megatron_ext.data.packing import PackedSamples
from tests.data.pairs import LENGTHS, NOWHERE, numbered, packed, write_numbered

SEEDS = st.integers(0, 2**31)


@given(LENGTHS, st.integers(1, 7), SEEDS)
@settings(max_examples=100, deadline=None)
def test_an_epoch_holds_every_token_and_every_sample_once(lengths, seq_length, seed):
    with packed(lengths, seq_length, seed) as samples:
        for epoch in range(2):
            first = epoch * samples.samples_per_epoch
            drawn = [samples[first + i] for i in range(samples.samples_per_epoch)]
            assert all(len(sample) == seq_length + 1 for sample in drawn)
            inputs = np.concatenate([sample[:-1] for sample in drawn])
            assert len(set(inputs.tolist())) == len(inputs), "a token is trained on twice in an epoch"
            assert samples.tokens - len(inputs) <= seq_length, "more is left out than an epoch's end"


@given(LENGTHS, st.integers(1, 7), SEEDS)
@settings(max_examples=60, deadline=None)
def test_an_epoch_is_the_shuffled_documents_end_to_end(lengths, seq_length, seed):
    """A naive oracle: put the documents into the epoch's order, join them, cut."""
    with packed(lengths, seq_length, seed) as samples:
        order = samples._epoch(1)
        starts = np.cumsum([0, *lengths])
        stream = [
            token for document in order.documents.numbers(0, len(lengths)) for token in range(*starts[document : document + 2])
        ]
        for place in range(samples.samples_per_epoch):
            begin = order.samples.number(place) * seq_length
            assert samples[samples.samples_per_epoch + place].tolist() == stream[begin : begin + seq_length + 1]


@given(LENGTHS, st.integers(1, 7), st.data())
@settings(max_examples=40, deadline=None)
def test_part_of_a_pair_is_shuffled_like_a_pair_of_its_own(lengths, seq_length, data):
    first = data.draw(st.integers(0, len(lengths) - 1))
    last = data.draw(st.integers(first + 1, len(lengths)))
    if sum(lengths[first:last]) <= seq_length:
        return
    with numbered(lengths) as whole, numbered(lengths[first:last], first=sum(lengths[:first])) as alone:
        part = PackedSamples(Documents(whole.index, first, last, whole.content), seq_length, 5, NOWHERE)
        own = PackedSamples(alone, seq_length, 5, NOWHERE)
        assert part.samples_per_epoch == own.samples_per_epoch
        for number in range(2 * own.samples_per_epoch):
            assert part[number].tolist() == own[number].tolist()


def test_a_sample_does_not_depend_on_what_was_asked_before():
    with packed([30, 20, 50], 8) as forward, packed([30, 20, 50], 8) as backward:
        for number in (0, 5, 100, 3, 57):
            forward[number]
        for number in (57, 3, 100, 5, 0):
            assert np.array_equal(backward[number], forward[number])


@pytest.mark.parametrize("change", [dict(seed=2), dict(number=1)])
def test_seed_number_and_epoch_change_the_order(change):
    with numbered([30, 20, 50] * 5) as documents:
        one = PackedSamples(documents, 8, **(dict(seed=1, number=0) | dict()), cache=NOWHERE)
        other = PackedSamples(documents, 8, **(dict(seed=1, number=0) | change), cache=NOWHERE)
        assert one[0].tolist() != other[0].tolist() != one[one.samples_per_epoch].tolist()


def test_many_documents_are_drawn_in_chunks(monkeypatch):
    lengths = np.random.default_rng(0).integers(0, 9, 5000).tolist()
    with packed(lengths, 16) as whole, packed(lengths, 16) as chunked:
        whole.prepare(0)
        monkeypatch.setattr(packing, "_CHUNK", 64)
        assert np.array_equal(chunked._epoch(0).ends, whole._epoch(0).ends)
        assert int(whole._epoch(0).ends[-1]) == sum(lengths)


def test_the_cache_changes_nothing(tmp_path):
    lengths = list(range(40))
    with numbered(lengths) as documents:
        plain = PackedSamples(documents, 8, 3, NOWHERE)
        drawing = PackedSamples(documents, 8, 3, Cache(tmp_path, least=1))
        found = [drawing[number].tolist() for number in range(150)]
        assert len(list(tmp_path.iterdir())) == 2  # epochs that were needed
        reading = PackedSamples(documents, 8, 3, Cache(tmp_path, least=1))
        reading._draw_ends = None  # would fail if it were called
        for samples in (plain, reading):
            assert [samples[number].tolist() for number in range(150)] == found
        other = PackedSamples(documents, 16, 3, Cache(tmp_path, least=1))  # another length takes the same file
        other._draw_ends = None
        assert len(other[0]) == 17


def test_small_data_sets_leave_no_files(tmp_path):
    with numbered(list(range(40))) as documents:
        samples = PackedSamples(documents, 8, 3, Cache(tmp_path))
        assert samples.prepare(0) == 0
    assert not list(tmp_path.iterdir())


def test_threads_draw_an_epoch_once():
    with packed(list(range(1, 200)), 16) as samples:
        drawn, draw = [], samples._draw_ends
        samples._draw_ends = lambda order: drawn.append(1) or draw(order)
        found = {}
        threads = [
            threading.Thread(target=lambda number=number: found.update({number: samples[number].tolist()})) for number in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(drawn) == 1
    with packed(list(range(1, 200)), 16) as alone:
        assert found == {number: alone[number].tolist() for number in range(8)}


def test_lengths_that_do_not_add_up(tmp_path):
    with numbered([5, 6, 7, 8]) as documents:
        data = bytearray(open(documents.index.prefix + ".idx", "rb").read())
        data[34 + 4 : 34 + 8] = (9).to_bytes(4, "little")
        with open(documents.index.prefix + ".idx", "r+b") as file:
            file.write(data)
        with pytest.raises(UserError, match="add up to 29 tokens, and .bin has 26"):
            PackedSamples(documents, 4, 1, NOWHERE)[0]


def test_tokens_are_checked_when_they_are_read(tmp_path):
    from megatron_ext.data.index import Index

    index = Index(write_numbered(tmp_path / "a", [50, 50]), vocab_size=60)
    samples = PackedSamples(Documents(index, 0, 2, {"xxh3": ""}), 10, 1, NOWHERE)
    with pytest.raises(UserError, match="the tokenizer has 60 entries"):
        for number in range(samples.samples_per_epoch):
            samples[number]
