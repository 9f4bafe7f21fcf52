"""Names of control tokens, their order, and how a vocabulary is filled up."""

import pytest

from megatron_ext.tokenizers import special_tokens


def test_names_come_in_the_tables_order_whatever_order_is_asked_for():
    found = special_tokens.names(["ul2", "fim"], additional=["<a>"])
    assert found == ["<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "[R]", "[S]", "[X]", "<a>"]
    assert special_tokens.names([]) == []


def test_sentinels_are_as_many_as_asked_for():
    found = special_tokens.names(["span_corruption"], extra_ids=3)
    assert found == ["<extra_id_0>", "<extra_id_1>", "<extra_id_2>"] == [special_tokens.span_sentinel(i) for i in range(3)]
    assert len(special_tokens.names(["span_corruption"])) == 100


def test_no_name_is_in_two_families_or_kept_for_the_tokenizer():
    found = special_tokens.names(special_tokens.FAMILIES)
    assert len(set(found)) == len(found)
    assert not any(special_tokens.RESERVED_NAME.fullmatch(name) for name in found)


@pytest.mark.parametrize(("entries", "multiple", "more"), [(600, 1, 0), (600, 8, 0), (601, 8, 7), (1, 128, 127)])
def test_reserved_names_fill_up_to_the_multiple(entries, multiple, more):
    found = special_tokens.reserved(entries, multiple)
    assert len(found) == more and (entries + len(found)) % multiple == 0
    assert all(special_tokens.RESERVED_NAME.fullmatch(name) for name in found)
