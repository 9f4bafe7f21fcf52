"""Sample i is a function of (seed, i) alone, and an epoch holds every token once."""

from __future__ import annotations

import os
import threading
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

from megatron_ext.arguments.problems import UserError
from megatron_ext.data import packing
from megatron_ext.data.cache import Cache
from megatron_ext.data.fingerprint import content
from megatron_ext.data.index import Documents, Index
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


def test_another_rule_of_order_finds_no_file_of_this_one(tmp_path, monkeypatch):
    with numbered(list(range(40))) as documents:
        PackedSamples(documents, 8, 3, Cache(tmp_path, least=1))[0]
        monkeypatch.setattr(packing, "FORMAT", packing.FORMAT + 1)
        samples, drawn = PackedSamples(documents, 8, 3, Cache(tmp_path, least=1)), []
        draw = samples._draw_ends
        samples._draw_ends = lambda order: drawn.append(1) or draw(order)
        samples[0]
    assert len(drawn) == 1 and len(list(tmp_path.iterdir())) == 2


def test_prepare_says_whether_the_order_is_there(tmp_path):
    with numbered(list(range(40))) as documents:
        assert PackedSamples(documents, 8, 3, NOWHERE).prepare(0) == {}
        samples = PackedSamples(documents, 8, 3, Cache(tmp_path, least=1))
        ((path, there),) = samples.prepare(0).items()
        assert there and os.listdir(tmp_path) == [os.path.basename(path)]
        os.truncate(path, 10)
        assert samples.prepare(0) == {path: False}


def test_orders_of_many_data_sets_take_little_memory():
    """Half a byte a document: a table would be 16, for each of a blend's data sets."""
    count = 2**17
    with packed([1] * count, 1) as samples:
        tracemalloc.start()
        try:
            order = samples._epoch(0)
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert len(order.ends) == count // 16
        assert kept < 0.6 * count


def test_small_data_sets_leave_no_files(tmp_path):
    with numbered(list(range(40))) as documents:
        samples = PackedSamples(documents, 8, 3, Cache(tmp_path))
        assert samples.prepare(0) == {}
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


@pytest.mark.parametrize(("change", "said"), [
    (4096, "from byte 44096 of .bin on, so that document 251 should begin at byte 44256, and it says 40160"),
    (-160, "from byte 39840 of .bin on, so that document 251 should begin at byte 40000, and it says 40160"),
])  # fmt: skip
def test_a_damaged_offset_is_said_before_it_is_trained_on(tmp_path, change, said):
    """Of a document that nobody looks at when the pair is opened; the samples before it stay what they were."""
    prefix = write_numbered(tmp_path / "a", [40] * 500)
    with open(prefix + ".idx", "r+b") as file:
        file.seek(34 + 4 * 500 + 8 * 250)
        file.write((40_000 + change).to_bytes(8, "little"))
    index = Index(prefix)
    index.glance()
    samples, read = PackedSamples(Documents(index, 0, 500, content(index)), 16, 1, NOWHERE), []
    before = f"so that document 250 should begin at byte 40000, and it says {40_000 + change}"
    for number in range(samples.samples_per_epoch):
        try:
            read += samples[number][:-1].tolist()
        except UserError as error:
            told = str(error)
            assert f"--data-path {prefix}: by {prefix}.idx document 250 has 40 tokens {said}" in told or before in told
            assert told.endswith("the index is damaged: run tools/preprocess_data.py again")
    assert len(read) > 19_000 and len(set(read)) == len(read) and not set(read) & set(range(10_000, 10_040))


@pytest.mark.parametrize("edge", [0, 99, 100, 199])
def test_a_damaged_offset_at_the_edge_of_a_split_changes_no_count(tmp_path, edge):
    """A split's tokens, and with them its samples, follow from where its first and last documents begin."""
    prefix = write_numbered(tmp_path / "a", [40] * 200)
    with open(prefix + ".idx", "r+b") as file:
        file.seek(34 + 4 * 200 + 8 * edge)
        file.write((160 * edge + 4).to_bytes(8, "little"))
    with pytest.raises(UserError, match="the index is damaged|does not belong together"):
        index = Index(prefix)
        for first, last in ((0, 100), (100, 200)):
            PackedSamples(Documents(index, first, last, {"xxh3": ""}), 16, 1, NOWHERE)


def test_merged_pairs_of_documents_in_several_sequences(tmp_path):
    """As Megatron-LM writes and merges them: a sequence is what is shuffled here, and all of them are read."""
    for name, first in (("a", 0), ("b", 1000)):
        builder = IndexedDatasetBuilder(f"{tmp_path}/{name}.bin", dtype=np.int32)
        for number in range(20):
            builder.add_document(torch.arange(first + 50 * number, first + 50 * number + 50), [20, 0, 30])
        if name == "b":
            builder.add_index(f"{tmp_path}/a")
        builder.finalize(f"{tmp_path}/{name}.idx")
    index = Index(str(tmp_path / "b"))
    index.glance()
    samples = PackedSamples(Documents(index, 0, index.documents, content(index)), 1, 1, NOWHERE)
    read = [int(samples[number][0]) for number in range(samples.samples_per_epoch)]
    assert index.documents == 120 and len(set(read)) == len(read) == 1999


def test_tokens_are_checked_when_they_are_read(tmp_path):
    index = Index(write_numbered(tmp_path / "a", [50, 50]), vocab_size=60)
    samples = PackedSamples(Documents(index, 0, 2, {"xxh3": ""}), 10, 1, NOWHERE)
    with pytest.raises(UserError, match="the tokenizer has 60 entries"):
        for number in range(samples.samples_per_epoch):
            samples[number]
