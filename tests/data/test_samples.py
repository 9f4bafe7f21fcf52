"""Sample i is a function of (seed, i) alone, and an epoch holds every token once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.data.batches import micro_batches
from megatron_ext.data.samples import MockSamples, PackedSamples, split_documents


def numbered(lengths, seq_length, seed=1):
    """A data set in which every token is its own number, so that nothing can be mixed up."""
    starts = np.concatenate([[0], np.cumsum(lengths)])

    def read(document, offset, length):
        assert 0 <= offset and offset + length <= lengths[document]
        return np.arange(starts[document] + offset, starts[document] + offset + length)

    return PackedSamples(np.asarray(lengths), read, seq_length, seed)


documents = st.lists(st.integers(0, 40), min_size=1, max_size=30).filter(lambda lengths: sum(lengths) > 8)


@given(documents, st.integers(1, 7), st.integers(0, 2**31))
@settings(max_examples=150, deadline=None)
def test_an_epoch_holds_every_token_once(lengths, seq_length, seed):
    samples = numbered(lengths, seq_length, seed)
    for epoch in range(2):
        first = epoch * samples.samples_per_epoch
        drawn = [samples[first + i] for i in range(samples.samples_per_epoch)]
        assert all(len(sample) == seq_length + 1 for sample in drawn)
        inputs = np.concatenate([sample[:-1] for sample in drawn])
        assert len(set(inputs.tolist())) == len(inputs), "a token is trained on twice in an epoch"
        assert samples.tokens - len(inputs) <= seq_length, "more is left out than an epoch's end"


@given(documents, st.integers(1, 7))
@settings(max_examples=50, deadline=None)
def test_tokens_of_a_document_stay_in_order(lengths, seq_length):
    samples = numbered(lengths, seq_length)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    for index in range(samples.samples_per_epoch):
        sample = samples[index]
        same = owner[sample[:-1]] == owner[sample[1:]]
        assert (sample[1:][same] == sample[:-1][same] + 1).all()


def test_sample_does_not_depend_on_what_was_asked_before():
    forward, backward = numbered([30, 20, 50], 8), numbered([30, 20, 50], 8)
    for index in (0, 5, 100, 3, 57):
        forward[index]
    for index in (57, 3, 100, 5, 0):
        assert np.array_equal(backward[index], forward[index])


def test_seed_and_epoch_change_the_order():
    a, b = numbered([30, 20, 50], 8, seed=1), numbered([30, 20, 50], 8, seed=2)
    per_epoch = a.samples_per_epoch
    assert any(not np.array_equal(a[i], b[i]) for i in range(per_epoch))
    assert any(not np.array_equal(a[i], a[i + per_epoch]) for i in range(per_epoch))


@given(st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 4]))
def test_a_global_batch_is_the_same_samples_however_it_is_dealt(processes, micro_batch_size):
    samples, size = MockSamples(1000, 4, seed=3), 16
    count = size // (processes * micro_batch_size)
    dealt = [
        tuple(row)
        for rank in range(processes)
        for batch in micro_batches(samples, 32, count, micro_batch_size, rank, processes)
        for row in batch.tolist()
    ]
    assert sorted(dealt) == sorted(tuple(samples[32 + i].tolist()) for i in range(size))


@pytest.mark.parametrize(("split", "sizes"), [("969,30,1", [969, 30, 1]), ("1", [1000, 0, 0]), ("8/1/1", [800, 100, 100])])
def test_split_by_shares(split, sizes):
    parts = split_documents(1000, split)
    assert [len(part) for part in parts] == sizes
    assert [document for part in parts for document in part] == list(range(1000))
