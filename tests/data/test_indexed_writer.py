"""Byte for byte what megatron-core's builder writes, and what its reader reads."""

import json
import os
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from megatron.core.datasets.indexed_dataset import DType, IndexedDataset, IndexedDatasetBuilder

from megatron_ext.arguments.problems import UserError
from megatron_ext.data import indexed_writer
from megatron_ext.data.indexed_writer import IndexedWriter, token_dtype


def write(prefix, parts, dtype):
    """Each part is a list of documents that are added together."""
    writer = IndexedWriter(str(prefix), dtype)
    for part in parts:
        tokens = np.array([token for document in part for token in document], dtype)
        writer.add(tokens, np.array([len(document) for document in part]))
    writer.seal()
    writer.publish()
    return writer


def build(prefix, parts, dtype):
    builder = IndexedDatasetBuilder(f"{prefix}.bin", dtype=np.dtype(dtype).type)
    for part in parts:
        for document in part:
            builder.add_document(np.array(document), [len(document)])
    builder.finalize(f"{prefix}.idx")


def same_bytes(folder, parts, dtype):
    write(folder / "ours", parts, dtype)
    build(folder / "theirs", parts, dtype)
    return all((folder / f"ours.{end}").read_bytes() == (folder / f"theirs.{end}").read_bytes() for end in ("bin", "idx"))


# Empty documents are there too: their lengths are 0, and they begin where the next one does.
DOCUMENTS = st.lists(st.lists(st.lists(st.integers(0, 65_535), max_size=9), max_size=6), max_size=6)


@given(DOCUMENTS, st.sampled_from(["uint16", "int32"]), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_the_bytes_are_those_of_megatron_core(tmp_path_factory, parts, dtype, chunk):
    before, indexed_writer._CHUNK = indexed_writer._CHUNK, chunk  # so that a few documents are many chunks
    try:
        assert same_bytes(tmp_path_factory.mktemp("pair"), parts, dtype)
    finally:
        indexed_writer._CHUNK = before


@given(st.integers(0, 2**32), st.integers(1000, 5000), st.sampled_from([("uint16", 65_500), ("int32", 200_000)]))
@settings(max_examples=5, deadline=None)
def test_thousands_of_documents(tmp_path_factory, seed, documents, type_and_size):
    """Of every length from none on, in parts of any size."""
    (dtype, vocab_size), draw, parts = type_and_size, np.random.default_rng(seed), []
    while sum(map(len, parts)) < documents:
        parts.append([draw.integers(0, vocab_size, draw.integers(0, 20)).tolist() for _ in range(draw.integers(0, 900))])
    assert same_bytes(tmp_path_factory.mktemp("pair"), parts, dtype)


def test_megatron_cores_reader_reads_it(tmp_path):
    write(tmp_path / "a", [[[1, 2, 3], [4]], [[5, 6]]], "uint16")
    data = IndexedDataset(str(tmp_path / "a"))
    assert [document.tolist() for document in data] == [[1, 2, 3], [4], [5, 6]]
    assert data.document_indices.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("vocab_size", [2, 65_499, 65_500, 65_536, 200_000])
def test_the_type_is_the_one_that_megatron_core_takes(vocab_size):
    assert token_dtype(vocab_size) == DType.optimal_dtype(vocab_size)


def test_nothing_has_its_name_before_the_end_and_nothing_is_left_after_a_failure(tmp_path):
    writer = IndexedWriter(str(tmp_path / "a"), "uint16")
    writer.add(np.arange(5, dtype=np.uint16), np.array([2, 3]))
    writer.seal()
    assert sorted(os.listdir(tmp_path)) == ["a.bin.partial", "a.idx.partial", "a.json.partial"]
    writer.discard()
    assert os.listdir(tmp_path) == []


def test_an_older_pair_stays_whole_until_the_new_one_is(tmp_path):
    write(tmp_path / "a", [[[1, 2], [3]]], "uint16")
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    writer = IndexedWriter(str(tmp_path / "a"), "int32")
    writer.add(np.arange(50, dtype=np.int32), np.array([50]))
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    writer.seal()
    writer.publish()
    data = IndexedDataset(str(tmp_path / "a"))  # its arrays are gone with it, so it needs a name
    assert data[0].tolist() == list(range(50))


def test_a_second_file_that_cannot_be_opened_leaves_no_first(tmp_path):
    held = IndexedWriter(str(tmp_path / "a"), "int32")
    held._bin.discard()
    with pytest.raises(UserError, match="another run"):
        IndexedWriter(str(tmp_path / "a"), "int32")
    assert sorted(os.listdir(tmp_path)) == ["a.idx.partial", "a.json.partial"]


def test_what_does_not_fit_together_is_refused(tmp_path):
    writer = IndexedWriter(str(tmp_path / "a"), "uint16")
    with pytest.raises(ValueError, match="int64"):
        writer.add(np.arange(3), np.array([3]))
    with pytest.raises(ValueError, match="add up to 2"):
        writer.add(np.arange(3, dtype=np.uint16), np.array([2]))
    writer.add_tokens(np.arange(3, dtype=np.uint16))
    writer.add_lengths(np.array([2]))
    with pytest.raises(ValueError, match="add up to 2, and there are 3"):
        writer.seal()
    writer.discard()


def test_the_sidecar_says_what_was_written(tmp_path):
    write(tmp_path / "a", [[[1, 2], [3]]], "uint16")
    found = json.loads((tmp_path / "a.json").read_text())
    assert found.pop("checksum") and found == {"documents": 2, "tokens": 3, "dtype": "uint16"}


def test_memory_does_not_grow_with_the_number_of_documents(tmp_path):
    """Two million documents: two Python lists of them would take some 80 MB."""
    part = (np.ones(20_000, np.uint16), np.ones(20_000, np.int32))
    tracemalloc.start()
    try:
        writer = IndexedWriter(str(tmp_path / "a"), "uint16")
        for _ in range(100):
            writer.add(*part)
        writer.seal()
        assert writer.documents == writer.tokens == 2_000_000
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()
        writer.discard()
