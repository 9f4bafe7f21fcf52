"""What training data is, in a few numbers: other data is told in words, moved data is the same."""

from __future__ import annotations

import json
import os
import shutil
from fractions import Fraction

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.arguments.problems import UserError
from megatron_ext.data import fingerprint
from megatron_ext.data.blend import Blend
from megatron_ext.data.fingerprint import content, differences, refuse_changed
from megatron_ext.data.index import Documents, Index
from megatron_ext.data.mock import MockSamples
from megatron_ext.data.packing import PackedSamples
from tests.data.pairs import LENGTHS, NOWHERE, numbered, write_numbered, write_pair


def packed(prefix, first=0, last=None, seq_length=8, seed=1, number=0):
    index = Index(str(prefix))
    return PackedSamples(Documents(index, first, last or index.documents, content(index)), seq_length, seed, NOWHERE, number)


@given(LENGTHS, st.data())
@settings(max_examples=60, deadline=None)
def test_any_other_token_or_border_is_other_content(lengths, data):
    with numbered(lengths) as documents:
        before = content(documents.index)
        prefix = documents.index.prefix
        path = prefix + data.draw(st.sampled_from([".bin", ".idx"]))
        held = bytearray(open(path, "rb").read())
        if path.endswith(".bin"):
            place = data.draw(st.integers(0, len(held) - 1))
            held[place] ^= 1 << data.draw(st.integers(0, 7))
        else:
            # but not the last length, by which the size of .bin is known
            one, other = data.draw(st.lists(st.integers(0, max(len(lengths) - 2, 0)), min_size=2, max_size=2))
            swapped = np.frombuffer(bytes(held[34 : 34 + 4 * len(lengths)]), np.int32).copy()
            if swapped[one] == swapped[other]:
                return
            swapped[[one, other]] = swapped[[other, one]]
            held[34 : 34 + 4 * len(lengths)] = swapped.tobytes()
        with open(path, "r+b") as file:
            file.write(held)
        after = content(Index(prefix))
        assert after["xxh3"] != before["xxh3"]
        assert (after["documents"], after["tokens"]) == (len(lengths), sum(lengths))


def test_of_a_large_file_blocks_from_begin_to_end_count(tmp_path, monkeypatch):
    """Against hashing the same blocks out of the whole file."""
    monkeypatch.setattr(fingerprint, "_BLOCKS", 5)
    monkeypatch.setattr(fingerprint, "_BLOCK", 64)
    monkeypatch.setattr(fingerprint, "_READ", 16)  # the lengths, in several parts
    index = Index(write_numbered(tmp_path / "a", [100] * 10))
    idx, tokens = (tmp_path / "a.idx").read_bytes(), (tmp_path / "a.bin").read_bytes()
    assert len(tokens) == 4000
    starts = [0, 984, 1968, 2952, 3936]
    whole = idx[: 34 + 40] + b"".join(tokens[start : start + 64] for start in starts)
    assert content(index)["xxh3"] == xxhash.xxh3_128_hexdigest(whole)


def test_moved_and_renamed_data_is_the_same(tmp_path):
    write_numbered(tmp_path / "a", [20, 30, 40])
    (tmp_path / "other").mkdir()
    for end in ("bin", "idx"):
        shutil.copy(tmp_path / f"a.{end}", tmp_path / "other" / f"b.{end}")
    assert differences(packed(tmp_path / "a").fingerprint, packed(tmp_path / "other" / "b").fingerprint) == []


def blended(tmp_path, weights=("0.7", "0.3"), **options):
    sets = [packed(tmp_path / name, number=number, **options) for number, name in enumerate("ab")]
    return Blend(sets, [Fraction(weight) for weight in weights], sets[0].seed)


def test_every_change_is_said_in_words(tmp_path):
    write_numbered(tmp_path / "a", [20, 30, 40])
    write_numbered(tmp_path / "b", [20, 30, 40], first=7)
    write_numbered(tmp_path / "c", [20, 30])
    write_numbered(tmp_path / "d", [20, 30, 40], dtype="uint16")
    one, both = packed(tmp_path / "a").fingerprint, blended(tmp_path).fingerprint

    def change(found, saved=one):
        return differences(saved, found)

    assert change(packed(tmp_path / "a", seq_length=16).fingerprint) == ["--seq-length was 8, is 16"]
    assert change(packed(tmp_path / "a", seed=2).fingerprint) == ["--seed was 1, is 2"]
    assert change(packed(tmp_path / "b").fingerprint) == ["the data (b): other content of the same size"]
    assert change(packed(tmp_path / "a", last=2).fingerprint) == [
        "the data (a): trained on documents 0 to 2, now on 0 to 1 (--split)"
    ]
    assert "the data (c): documents were 3, are 2" in change(packed(tmp_path / "c").fingerprint)
    assert "the data (c): tokens were 90, are 50" in change(packed(tmp_path / "c").fingerprint)
    assert change(packed(tmp_path / "d").fingerprint)[0] == "the data (d): token types were int32, are uint16"
    assert "the data sets were 1 (a), are 2 (a, b)" in change(both)
    assert change(blended(tmp_path, ("7", "3")).fingerprint, both) == []
    assert change(blended(tmp_path, ("0.6", "0.4")).fingerprint, both) == [
        "data set 1 (a): its weight was 7/10, is 3/5",
        "data set 2 (b): its weight was 3/10, is 2/5",
    ]
    mock = MockSamples(100, 8, 1).fingerprint
    assert "the kind of data was packed, is mock" in change(mock)
    assert change(MockSamples(200, 8, 1).fingerprint, mock) == ["the vocabulary of --mock-data was 100, is 200"]
    assert change(one, one | {"format": 1}) == ["the rule that orders samples was 1, is 2"]


def test_it_survives_json(tmp_path):
    write_numbered(tmp_path / "a", [20, 30, 40])
    write_numbered(tmp_path / "b", [20, 30, 40])
    for found in (packed(tmp_path / "a").fingerprint, blended(tmp_path).fingerprint, MockSamples(9, 8, 1).fingerprint):
        assert json.loads(json.dumps(found)) == found


def test_changed_data_is_refused_unless_accepted(tmp_path):
    write_numbered(tmp_path / "a", [20, 30, 40])
    saved, found = packed(tmp_path / "a").fingerprint, packed(tmp_path / "a", seq_length=16).fingerprint
    refuse_changed("run", saved, saved, accept=False)
    refuse_changed("run", saved, found, accept=True)
    with pytest.raises(UserError, match="run: the run was trained on other data: --seq-length was 8, is 16; .*--accept-changed"):
        refuse_changed("run", saved, found, accept=False)


def test_an_index_whose_lengths_do_not_add_up(tmp_path):
    index = Index(write_pair(tmp_path / "a", [[1, 2], [3], [4]]))
    with open(tmp_path / "a.idx", "r+b") as file:
        file.seek(34)
        file.write((5).to_bytes(4, "little"))
    with pytest.raises(UserError, match="add up to 7 tokens, and .bin has 4; the index is damaged"):
        content(index)


def test_a_file_cut_off_meanwhile(tmp_path):
    index = Index(write_pair(tmp_path / "a", [[1, 2], [3], [4]]))
    os.truncate(tmp_path / "a.bin", 4)
    with pytest.raises(UserError, match="a.bin has 4 bytes and its index tells of 16"):
        content(index)
