"""Tokens of one stretch that look at those of another, against their documents written out."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from megatron_ext.models.attention.tokens import Tokens

rows = st.lists(st.integers(-1, 3), min_size=6, max_size=6)


@given(st.lists(rows, min_size=2, max_size=2), st.lists(rows, min_size=2, max_size=2))
def test_the_blind_are_those_whose_document_has_no_key(queries, keys):
    tokens = Tokens.across(torch.tensor(queries), torch.tensor(keys))
    expected = torch.tensor([[document not in row for document in own] for own, row in zip(queries, keys)])
    assert torch.equal(torch.zeros_like(expected) if tokens.blind is None else tokens.blind, expected)
    assert (tokens.blind is None) == (not expected.any())


def test_a_query_that_is_a_key_has_its_document():
    documents = torch.tensor([[0, 0, 1], [0, 1, 1]])
    assert torch.equal(Tokens.whole(3, torch.device("cpu"), documents).of_queries, documents)
    assert torch.equal(Tokens(torch.tensor([2, 0]), 3, documents).of_queries, documents[:, [2, 0]])
    assert Tokens.whole(3, torch.device("cpu")).of_queries is None
    assert Tokens.whole(3, torch.device("cpu"), documents).blind is None
