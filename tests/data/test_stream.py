"""All of a pair in pieces, whatever their size: what is read at once, cut."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megatron_ext.arguments.problems import UserError
from megatron_ext.data import stream
from megatron_ext.data.index import Index
from tests.data.pairs import write_numbered


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.sampled_from(["uint16", "int32"]), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_pieces_make_the_whole(tmp_path_factory, lengths, dtype, piece):
    before, stream.PIECE = stream.PIECE, 8 * piece
    try:
        index = Index(write_numbered(tmp_path_factory.mktemp("pair") / "a", lengths, dtype))
        parts = {each: list(getattr(stream, each)(index)) for each in ("lengths", "offsets", "ends", "tokens")}
        last = [first.tolist() for piece, place in stream.tokens_and_last(index) for first in [piece[place]]]
    finally:
        stream.PIECE = before
    whole = {name: np.concatenate(pieces).tolist() if pieces else [] for name, pieces in parts.items()}
    starts = np.cumsum([0, *lengths])
    assert whole["lengths"] == lengths
    assert whole["offsets"] == (starts[:-1] * index.dtype.itemsize).tolist()
    assert whole["ends"] == list(range(len(lengths) + 1))
    assert whole["tokens"] == list(range(sum(lengths)))
    assert sum(last, []) == [int(end) - 1 for end, length in zip(starts[1:], lengths) if length]
    assert all(each.nbytes <= 2 * 8 * piece for pieces in parts.values() for each in pieces)


def test_a_file_that_is_cut_off_meanwhile_is_one_sentence(tmp_path):
    index = Index(write_numbered(tmp_path / "a", [9]))
    os.truncate(tmp_path / "a.bin", 8)
    with pytest.raises(UserError, match="a.bin was cut off while it was read"):
        list(stream.tokens(index))
    os.unlink(tmp_path / "a.bin")
    with pytest.raises(UserError, match="a.bin cannot be read .No such file"):
        list(stream.tokens(index))
