"""Whole pairs are whole; of damaged ones the first damage is named. The ways of damage are all that .idx and .bin allow."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.data import sidecar, stream
from megatron_ext.data.index import Index
from megatron_ext.data.indexed_writer import HEADER, IndexedWriter
from megatron_ext.data.inspection.verify import checksum_of, first_damage

EOD = 9
SOURCE = {"append_eod": True, "tokenizer": {"fingerprint": "f", "vocab_size": 10, "eod": EOD, "flags": {}}}
DOCUMENTS = [[1, 2, EOD], [3, EOD], [EOD], [4, 5, 6, EOD]]


def write(prefix, documents=DOCUMENTS, source=SOURCE):
    writer = IndexedWriter(str(prefix), "uint16")
    flat = np.array([token for document in documents for token in document], "uint16")
    writer.add(flat, np.array([len(document) for document in documents]))
    writer.seal(source)
    writer.publish()
    return str(prefix)


def damage(prefix, vocab_size=10):
    index = Index(prefix)
    return first_damage(index, vocab_size, sidecar.read(index))


def poke(path, at, form, value):
    content = bytearray(path.read_bytes())
    struct.pack_into(form, content, at, value)
    path.write_bytes(content)


def test_a_whole_pair(tmp_path):
    prefix = write(tmp_path / "a")
    assert damage(prefix) is None
    assert checksum_of(Index(prefix)) == sidecar.read(Index(prefix)).checksum
    (tmp_path / "a.json").unlink()
    assert damage(prefix, None) is None


IDX, N = "a.idx", len(DOCUMENTS)


@pytest.mark.parametrize(
    ("file", "at", "form", "value", "said"),
    [
        (IDX, HEADER + 4, "<i", -2, "document 1 has -2 tokens"),
        (IDX, HEADER + 4, "<i", 3, "document 2 begins at byte 10 of .bin in .idx, and by the lengths before it at byte 12"),
        (IDX, HEADER + 4 * N + 8, "<q", 4, "document 1 begins at byte 4 of .bin in .idx"),
        (IDX, HEADER + 12 * N, "<q", 1, "the list of documents in .idx begins with 1"),
        (IDX, HEADER + 12 * N + 16, "<q", 0, "entry 2 of the list of documents in .idx is less"),
        (IDX, HEADER + 12 * N + 8 * N, "<q", 5, "the list of documents in .idx ends with 5, and there are 4 sequences"),
        ("a.bin", 0, "<H", 10, "token 0 of .bin is 10, and ids are from 0 to 9"),
        ("a.bin", 8, "<H", 3, "document 1 does not end with the end-of-document token 9 but with 3"),
        ("a.bin", 2, "<H", 3, "its checksum is "),
    ],
)
def test_every_damage_is_named(tmp_path, file, at, form, value, said):
    prefix = write(tmp_path / "a")
    poke(tmp_path / file, at, form, value)
    assert damage(prefix).startswith(said)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=20), st.data())
@settings(max_examples=80, deadline=None)
def test_a_byte_that_was_changed_is_found_wherever_it_is(tmp_path_factory, lengths, data):
    """In `.idx` after its head, or in `.bin`: by an error of opening, or as damage."""
    folder = tmp_path_factory.mktemp("pair")
    prefix = write(folder / "a", [[1] * length + [EOD] for length in lengths])
    file = data.draw(st.sampled_from(["a.idx", "a.bin"]))
    content = bytearray((folder / file).read_bytes())
    at = data.draw(st.integers(HEADER if file == "a.idx" else 0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    (folder / file).write_bytes(content)
    before, stream.PIECE = stream.PIECE, 64
    try:
        assert damage(prefix) is not None
    except ValueError:  # a UserError of opening it
        pass
    finally:
        stream.PIECE = before


def test_negative_ids_and_unknown_vocabularies(tmp_path):
    prefix = str(tmp_path / "a")
    writer = IndexedWriter(prefix, "int32")
    writer.add(np.array([5, -1, 3], np.int32), np.array([3]))
    writer.seal()
    writer.publish()
    assert damage(prefix, None).startswith("token 1 of .bin is -1")
