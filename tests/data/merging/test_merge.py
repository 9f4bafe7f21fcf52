"""Merged pairs are what megatron-core's builder makes of them, byte for byte; what does not go together is refused by name."""

from __future__ import annotations

import json
import os
import shutil
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from megatron.core.datasets.indexed_dataset import IndexedDataset, IndexedDatasetBuilder

from megatron_ext.arguments.problems import UserError
from megatron_ext.data import sidecar
from megatron_ext.data.index import Index
from megatron_ext.data.indexed_writer import IndexedWriter
from megatron_ext.data.merging.merge import merge
from tests.data.pairs import write_pair

OURS = {"append_eod": True, "tokenizer": {"fingerprint": "f", "vocab_size": 9, "eod": 0, "flags": {"tokenizer_model": "tok"}}}
OTHER = {"append_eod": True, "tokenizer": {"fingerprint": "g", "vocab_size": 8, "eod": 0, "flags": {"tokenizer_model": "old"}}}


def write(prefix, documents, dtype="uint16", source=OURS):
    writer = IndexedWriter(str(prefix), dtype)
    flat = np.array([token for document in documents for token in document], dtype)
    writer.add(flat, np.array([len(document) for document in documents]))
    writer.seal(source)
    writer.publish()
    return str(prefix)


def build(prefix, documents, dtype="uint16", **more):
    """A pair of megatron-core's; each document is a list of sequences."""
    builder = IndexedDatasetBuilder(f"{prefix}.bin", dtype=np.dtype(dtype).type, **more)
    for sequences in documents:
        modes = [1] * len(sequences) if more else None
        builder.add_document(np.array(sum(sequences, [])), [len(each) for each in sequences], modes)
    builder.finalize(f"{prefix}.idx")
    return str(prefix)


def added(prefix, parts, dtype="uint16"):
    builder = IndexedDatasetBuilder(f"{prefix}.bin", dtype=np.dtype(dtype).type)
    for part in parts:
        builder.add_index(part)
    builder.finalize(f"{prefix}.idx")


PAIRS = st.lists(
    st.lists(st.lists(st.lists(st.integers(0, 60_000), min_size=1, max_size=5), min_size=1, max_size=3), min_size=1, max_size=4),
    min_size=1,
    max_size=4,
)


@given(PAIRS, st.sampled_from(["uint16", "int32"]))
@settings(max_examples=40, deadline=None)
def test_the_bytes_are_those_of_megatron_core(tmp_path_factory, pairs, dtype):
    folder = tmp_path_factory.mktemp("merge")
    parts = [build(folder / f"part{number}", documents, dtype) for number, documents in enumerate(pairs)]
    found = merge(parts, str(folder / "ours"))
    added(folder / "theirs", parts, dtype)
    for end in ("bin", "idx"):
        assert (folder / f"ours.{end}").read_bytes() == (folder / f"theirs.{end}").read_bytes()
    sequences = [each for documents in pairs for document in documents for each in document]
    assert (found.documents, found.tokens) == (len(sequences), sum(map(len, sequences)))


def test_shards_of_a_folder_by_name_are_the_whole_at_once(tmp_path):
    documents = [[1, 2, 0], [3, 0], [4, 5, 6, 0], [7, 0]]
    write(tmp_path / "whole", documents)
    (tmp_path / "shards").mkdir()
    write(tmp_path / "shards" / "b", documents[3:])
    write(tmp_path / "shards" / "a", documents[:3])
    found = merge([str(tmp_path / "shards")], str(tmp_path / "merged"))
    assert [os.path.basename(each) for each in found.prefixes] == ["a", "b"] and not found.warnings
    for end in ("bin", "idx", "json"):
        assert (tmp_path / f"merged.{end}").read_bytes() == (tmp_path / f"whole.{end}").read_bytes()
    data = IndexedDataset(str(tmp_path / "merged"))
    assert [each.tolist() for each in data] == documents
    back = merge([str(tmp_path / "shards" / "b"), str(tmp_path / "shards" / "a")], str(tmp_path / "back"))
    assert [os.path.basename(each) for each in back.prefixes] == ["b", "a"]
    assert np.fromfile(tmp_path / "back.bin", np.uint16).tolist() == [7, 0, 1, 2, 0, 3, 0, 4, 5, 6, 0]


def refused(tmp_path, *inputs, output="out", match):
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(UserError, match=match) as caught:
        merge(inputs, str(tmp_path / output))
    assert sorted(os.listdir(tmp_path)) == before
    assert len(str(caught.value).splitlines()) == 1


def test_other_tokenizers_are_refused_by_name(tmp_path):
    a, b = write(tmp_path / "a", [[1]]), write(tmp_path / "b", [[1]], source=OTHER)
    refused(tmp_path, a, b, match=r"--input .*b: .*another tokenizer \(old, 8 entries\) than .*a \(tok, 9 entries\)")


def test_uint16_is_widened_where_the_tokenizer_is_known_to_be_the_same(tmp_path):
    a, b = write(tmp_path / "a", [[1, 0], [60_000]]), write(tmp_path / "b", [[2, 0]], "int32")
    assert merge([a, b], str(tmp_path / "c")).dtype == "int32"
    assert np.fromfile(tmp_path / "c.bin", np.int32).tolist() == [1, 0, 60_000, 2, 0]
    assert Index(str(tmp_path / "c")).offsets.tolist() == [0, 8, 12]
    os.unlink(a + ".json")
    refused(tmp_path, a, b, match=r"--input .*b: holds tokens as int32, and .*a as uint16; .*name the same tokenizer")


def test_what_is_not_known_of_all_is_not_said_of_the_whole(tmp_path):
    a = write(tmp_path / "a", [[1]])
    b = write_pair(tmp_path / "b", [[2]], "uint16")
    c = write(tmp_path / "c", [[3]], source={**OURS, "append_eod": False})
    found = merge([a, b], str(tmp_path / "ab"))
    assert f"{b}: has no .json beside it" in found.warnings[0]
    assert sidecar.read(Index(str(tmp_path / "ab"))).tokenizer is None
    found = merge([a, c], str(tmp_path / "ac"))
    assert "others do not (--append-eod)" in found.warnings[0]
    assert sidecar.read(Index(str(tmp_path / "ac"))).source == {**OURS, "append_eod": None}


def test_multimodal_pairs_are_refused(tmp_path):
    a = build(tmp_path / "a", [[[1, 2]], [[3]]], multimodal=True)
    refused(tmp_path, a, match="a.idx is multimodal")


def test_outputs_among_the_inputs_are_refused(tmp_path):
    a = write(tmp_path / "a", [[1]])
    refused(tmp_path, str(tmp_path), output="new", match="lies in the folder --input")
    refused(tmp_path, a, output="a", match="is --input .*a, too")
    os.symlink(tmp_path, tmp_path / "link")
    refused(tmp_path, a, output="link/a", match="is --input .*a, too")


def test_folders_that_hold_no_pairs_or_halves_are_refused(tmp_path):
    (tmp_path / "in").mkdir()
    refused(tmp_path, str(tmp_path / "in"), match="holds no .bin/.idx pairs")
    write(tmp_path / "in" / "a", [[1]])
    os.unlink(tmp_path / "in" / "a.idx")
    refused(tmp_path, str(tmp_path / "in"), match="has a a.bin and no a.idx")
    refused(tmp_path, str(tmp_path / "none"), match="none.idx does not exist")


@pytest.mark.parametrize(("length", "said"), [(-1, "document of -1 tokens"), (5, "add up to 6 tokens, and .bin has 5")])
def test_a_damaged_index_leaves_nothing(tmp_path, length, said):
    a = write_pair(tmp_path / "a", [[1, 2], [3], [4, 5]])
    content = bytearray((tmp_path / "a.idx").read_bytes())
    content[34:46] = np.array([length if length < 0 else 3, 1, 2], np.int32).tobytes()
    (tmp_path / "a.idx").write_bytes(content)
    refused(tmp_path, a, match=said)


def test_memory_does_not_grow_with_the_number_of_documents(tmp_path):
    """A million documents four times over; two Python lists of them would take 300 MB."""
    part = write(tmp_path / "0", np.ones((1_000_000, 1), np.uint16).tolist())
    parts = [part]
    for number in (1, 2, 3):
        for end in ("bin", "idx", "json"):
            shutil.copy(f"{part}.{end}", tmp_path / f"{number}.{end}")
        parts.append(str(tmp_path / str(number)))
    tracemalloc.start()
    try:
        assert merge(parts, str(tmp_path / "all")).documents == 4_000_000
        assert tracemalloc.get_traced_memory()[1] < 60e6
    finally:
        tracemalloc.stop()
    assert json.loads((tmp_path / "all.json").read_text())["tokens"] == 4_000_000
