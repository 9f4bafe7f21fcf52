"""What megatron-core's IndexedDataset reads is what is read here; what is damaged, or becomes so, is said in words."""

from __future__ import annotations

import os
import struct
import tempfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from megatron.core.datasets.indexed_dataset import IndexedDataset, IndexedDatasetBuilder

from megatron_ext.arguments.problems import UserError
from megatron_ext.data.index import Documents, Index
from tests.data.pairs import told_without_rights, write_numbered, write_pair

DOCUMENTS = st.lists(st.lists(st.integers(0, 65_000), max_size=30), min_size=1, max_size=40)


def read(index, document, offset, count):
    start = int(index.offsets[document]) // index.dtype.itemsize + offset
    return index.read(np.array([start]), np.array([count]), np.empty(count, np.int64)).tolist()


@given(DOCUMENTS, st.sampled_from(["uint16", "int32"]), st.booleans(), st.data())
@settings(max_examples=80, deadline=None)
def test_it_reads_what_megatron_core_reads(documents, dtype, mmap, data):
    with tempfile.TemporaryDirectory() as folder:
        prefix = f"{folder}/pair"
        builder = IndexedDatasetBuilder(f"{prefix}.bin", dtype=np.dtype(dtype).type)
        for document in documents:
            builder.add_document(torch.tensor(document, dtype=torch.int64), [len(document)])
        builder.finalize(f"{prefix}.idx")
        if not any(documents):
            assert Index(prefix, mmap=mmap).tokens == 0  # megatron-core cannot map an empty file
            return
        ours, theirs = Index(prefix, mmap=mmap), IndexedDataset(prefix)
        ours.glance()
        assert (ours.documents, ours.dtype) == (len(theirs), np.dtype(theirs.index.dtype))
        assert ours.lengths.tolist() == theirs.sequence_lengths.tolist()
        assert ours.offsets.tolist() == theirs.index.sequence_pointers.tolist()
        assert ours.tokens == sum(map(len, documents))
        for number, document in enumerate(documents):
            offset = data.draw(st.integers(0, len(document)))
            count = data.draw(st.integers(0, len(document) - offset))
            assert read(ours, number, offset, count) == theirs.get(number, offset=offset, length=count).tolist()


@pytest.mark.parametrize("mmap", [True, False])
def test_many_pieces_in_one_reading(tmp_path, mmap):
    index = Index(write_numbered(tmp_path / "a", [5000, 3, 0, 70]), mmap=mmap)
    found = index.read(np.array([5001, 10, 5003]), np.array([2, 4000, 70]), np.empty(4072, np.int64))
    assert found.tolist() == [5001, 5002, *range(10, 4010), *range(5003, 5073)]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.data())
@settings(max_examples=60, deadline=None)
def test_tokens_of_a_range_of_documents(lengths, data):
    first = data.draw(st.integers(0, len(lengths)))
    last = data.draw(st.integers(first, len(lengths)))
    with tempfile.TemporaryDirectory() as folder:
        documents = Documents(Index(write_numbered(f"{folder}/a", lengths)), first, last, {})
        assert (len(documents), documents.tokens) == (last - first, sum(lengths[first:last]))
        if first < last:
            assert documents.begin == sum(lengths[:first])


def test_files_that_are_missing(tmp_path):
    write_numbered(tmp_path / "a", [3])
    (tmp_path / "a.bin").unlink()
    with pytest.raises(UserError, match=r"--data-path .*a\.bin does not exist; give the prefix"):
        Index(str(tmp_path / "a"))


def overwrite(path, offset, data):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


@pytest.mark.parametrize(("damage", "reason"), [
    (lambda a: overwrite(a + ".idx", 0, b"nonsense"), "is not an index of tokens"),
    (lambda a: overwrite(a + ".idx", 9, struct.pack("<Q", 2)), "version 2"),
    (lambda a: overwrite(a + ".idx", 17, b"\x06"), "type 6"),  # float64
    (lambda a: os.truncate(a + ".idx", 20), "is not an index of tokens"),
    (lambda a: os.truncate(a + ".idx", 60), "has 60 bytes and its head tells of"),
    (lambda a: os.truncate(a + ".bin", 8), "does not belong together or is cut off"),
    (lambda a: overwrite(a + ".idx", 34 + 12, struct.pack("<qq", 0, 8)), "document 1 should begin at byte 12, and it says 8"),
    (lambda a: write_pair(a, []), "holds no documents"),
])  # fmt: skip
def test_damage_is_one_sentence(tmp_path, damage, reason):
    prefix = write_numbered(tmp_path / "a", [3, 4, 5])
    damage(prefix)
    with pytest.raises(UserError, match=reason):
        Index(prefix).glance()


@pytest.mark.parametrize("mmap", [True, False])
def test_a_file_cut_off_while_it_is_open(tmp_path, mmap):
    index = Index(write_numbered(tmp_path / "a", [3000, 3000]), mmap=mmap)
    assert read(index, 1, 0, 3) == [3000, 3001, 3002]
    os.truncate(tmp_path / "a.bin", 4096)
    with pytest.raises(UserError, match="a.bin has 4096 bytes and its index tells of 24000"):
        read(index, 1, 0, 3)


def test_an_index_cut_off_while_it_is_open(tmp_path):
    index = Index(write_numbered(tmp_path / "a", [3000, 3000]))
    os.truncate(tmp_path / "a.idx", 40)
    with pytest.raises(UserError, match="a.idx was changed while it was read"):
        index.check()


@pytest.mark.parametrize(("token", "dtype"), [(100, "uint16"), (-1, "int32")])
def test_a_token_beyond_the_vocabulary_is_named(tmp_path, token, dtype):
    index = Index(write_pair(tmp_path / "a", [[1, 2], [3, token, 99]], dtype), vocab_size=100)
    assert read(index, 0, 0, 2) == [1, 2]
    for look in (lambda: read(index, 1, 0, 3), index.glance):
        with pytest.raises(UserError, match=rf"holds token {token} \(the 3-th of .bin\), and the tokenizer has 100 entries"):
            look()


def test_pieces_outside_of_the_file(tmp_path):
    index = Index(write_numbered(tmp_path / "a", [3, 4]))
    for start in (-1, 6):
        with pytest.raises(UserError, match="points outside of its .bin"):
            index.read(np.array([start]), np.array([2]), np.empty(2, np.int64))


def test_no_rights():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        prefix = write_numbered(f"{folder}/a", [3, 4])
        os.chmod(prefix + ".bin", 0)
        said = told_without_rights(lambda: Index(prefix))
        assert said == f"--data-path {prefix}: {prefix}.bin cannot be read (Permission denied)"


def test_a_file_cut_off_between_check_and_read_is_named_as_one_that_was_before(tmp_path):
    class CutMeanwhile(Index):
        def _announce(self, start, count):
            os.truncate(f"{self.prefix}.bin", 100)

    index = CutMeanwhile(write_numbered(tmp_path / "a", [5000]), mmap=False)
    with pytest.raises(UserError, match="a.bin has 100 bytes and its index tells of"):
        read(index, 0, 4000, 50)
