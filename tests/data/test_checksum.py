"""Equal for equal content, however it comes and lies; another one for any change."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from megatron_ext.data.checksum import Checksum


def checksum(documents, dtype="int32", cut=None):
    found = Checksum()
    tokens = np.array([token for document in documents for token in document], dtype)
    for piece in (tokens,) if cut is None else (tokens[:cut], tokens[cut:]):
        found.add_tokens(piece)
    found.add_lengths(np.array([len(document) for document in documents], np.int32))
    return found.hexdigest()


DOCUMENTS = st.lists(st.lists(st.integers(0, 65_535), max_size=6), max_size=6)


@given(DOCUMENTS, st.integers(0, 40))
def test_neither_pieces_nor_types_matter(documents, cut):
    assert checksum(documents) == checksum(documents, "uint16", cut)


@given(DOCUMENTS, DOCUMENTS)
def test_other_content_has_another_one(one, other):
    assert (checksum(one) == checksum(other)) == (one == other)


def test_long_pieces_are_cut_without_a_loss():
    tokens = np.arange(2**17 + 3, dtype=np.int32)
    whole, halves = Checksum(), Checksum()
    whole.add_tokens(tokens)
    for half in (tokens[:1001], tokens[1001:]):
        halves.add_tokens(half)
    assert whole.hexdigest() == halves.hexdigest()
