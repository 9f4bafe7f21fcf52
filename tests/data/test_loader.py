"""Micro-batches are the same however they are dealt out and read ahead; errors come through, and nothing hangs."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.arguments.problems import UserError
from megatron_ext.data.index import Documents, Index
from megatron_ext.data.loader import Loader
from megatron_ext.data.mock import MockSamples
from megatron_ext.data.packing import PackedSamples
from tests.data.pairs import NOWHERE, write_numbered

SAMPLES = MockSamples(1000, 4, seed=3)


def global_batch(loaders, first, size, samples=SAMPLES):
    """Rows of a global batch that some processes read together, in the order of the samples."""
    count = size // (len(loaders) * loaders[0].micro_batch_size)
    dealt = [list(loader.batches(samples, first, count)) for loader in loaders]
    return torch.cat([dealt[rank][number] for number in range(count) for rank in range(len(loaders))])


@given(st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 4]), st.integers(0, 3), st.integers(0, 10), st.integers(1, 3))
@settings(max_examples=80, deadline=None)
def test_a_run_reads_the_same_samples_however_it_is_dealt(ranks, micro_batch_size, workers, start, steps):
    """DP 1, 2 and 4, any micro-batch size, any number of workers, from any point on, for any number of steps."""
    loaders = [Loader(workers, micro_batch_size, rank, ranks) for rank in range(ranks)]
    for step in range(start, start + steps):
        expected = np.stack([SAMPLES[16 * step + i] for i in range(16)])
        assert np.array_equal(global_batch(loaders, 16 * step, 16).numpy(), expected)
    for loader in loaders:
        loader.close()


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(1, 5)), max_size=12))
@settings(max_examples=60, deadline=None)
def test_wrong_guesses_change_nothing(asked):
    """Evaluation in between, jumps, and global batches of other sizes."""
    other = MockSamples(1000, 4, seed=4)
    with Loader(2, 2, 0, 1) as loader:
        for which, first, count in asked:
            samples = (SAMPLES, other)[which]
            found = torch.cat(list(loader.batches(samples, first, count)))
            assert np.array_equal(found.numpy(), np.stack([samples[first + i] for i in range(2 * count)]))


class Watched(MockSamples):
    """Notes when each sample was read, and by which thread."""

    def __init__(self):
        super().__init__(100, 4, 1)
        self.read = []

    def __getitem__(self, number):
        self.read.append((number, threading.get_ident()))
        return super().__getitem__(number)


def test_workers_read_ahead_and_none_reads_when_asked():
    watched = Watched()
    with Loader(2, 1, 0, 1) as loader:
        next(loader.batches(watched, 0, 10))
        deadline = time.monotonic() + 30
        while len(watched.read) < 5 and time.monotonic() < deadline:
            time.sleep(0.001)
        assert {number for number, _ in watched.read} == set(range(5))
        assert threading.get_ident() not in {thread for _, thread in watched.read}
        list(loader.batches(watched, 1, 9))
        assert len({number for number, _ in watched.read}) == len(watched.read), "a sample was read twice"
    watched = Watched()
    next(Loader(0, 1, 0, 1).batches(watched, 0, 10))
    assert watched.read == [(0, threading.get_ident())]


def test_closing_leaves_no_thread():
    before = threading.active_count()
    loader = Loader(3, 2, 0, 1)
    next(loader.batches(SAMPLES, 0, 5))
    assert threading.active_count() > before
    loader.close()
    loader.close()
    assert threading.active_count() == before


@pytest.mark.parametrize(("workers", "mmap"), [(2, False), (0, False), (0, True)])
def test_a_file_cut_off_during_the_run_is_an_error_and_no_garbage(tmp_path, workers, mmap):
    index = Index(write_numbered(tmp_path / "a", [5000] * 20), mmap=mmap)
    samples = PackedSamples(Documents(index, 0, 20, {"xxh3": ""}), 50, 1, NOWHERE)
    with Loader(workers, 2, 0, 1) as loader:
        batches = loader.batches(samples, 0, 1000)
        next(batches)
        os.truncate(tmp_path / "a.bin", 4096)
        with pytest.raises(UserError, match="a.bin has 4096 bytes and its index tells of 400000"):
            for batch in batches:  # what was read ahead before is whole
                assert torch.equal(batch[:, 1:] - batch[:, :-1] == 1, batch[:, 1:] % 5000 != 0)
