"""Reshapings: open and close undo each other, blocks of a parameter are those of the whole, names are filled in."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from megatron_ext.backend.placement import Placement
from megatron_ext.checkpoint.conversion.mapping import (
    Heads,
    gate_and_up,
    gate_and_up_in_one,
    joined_positions,
    key_value,
    qkv,
    rule_for,
    same,
    stacked,
    stacked_qkv,
    transposed,
)  # fmt: skip

HEADS = Heads(groups=2, queries=3, width=4)
# rule: shapes of their tensors, shape of ours, the dimension along which tensor parallelism cuts it.
CASES = {
    "same": (same("a"), [(6, 5)], (6, 5), 0),
    "same, by columns": (same("a"), [(6, 4)], (6, 4), 1),
    "a norm": (same("a"), [(6,)], (6,), 0),
    "transposed": (transposed("a"), [(5, 6)], (6, 5), 0),
    "qkv": (qkv("q", "k", "v"), [(24, 5), (8, 5), (8, 5)], (40, 5), 0),
    "biases of qkv": (qkv("q", "k", "v"), [(24,), (8,), (8,)], (40,), 0),
    "stacked": (stacked_qkv("a"), [(40, 5)], (40, 5), 0),
    "stacked and transposed": (stacked_qkv("a", transposed=True), [(5, 40)], (40, 5), 0),
    "keys and values": (key_value("k", "v"), [(8, 5), (8, 5)], (16, 5), 0),
    "tables of two halves": (stacked("a", "b"), [(6, 4), (6, 4)], (2, 6, 4), 2),
    "gated": (gate_and_up("gate", "up"), [(6, 5), (6, 5)], (2, 6, 5), 1),
    "gated, in one": (gate_and_up_in_one("a"), [(12, 5)], (2, 6, 5), 1),
}


@pytest.mark.parametrize("case", CASES)
def test_open_and_close_undo_each_other_on_any_layout(case):
    rule, shapes, ours, split = CASES[case]
    theirs = {name: torch.randn(shape) for name, shape in zip(rule.names, shapes, strict=True)}
    whole = Placement("x.weight", ours, (0,) * len(ours), ours, None)
    opened = rule.to_ours(theirs.__getitem__, whole, HEADS)
    assert tuple(opened.shape) == ours
    assert rule.shapes(ours, HEADS) == dict(zip(rule.names, shapes))
    closed = rule.to_theirs(opened, HEADS)
    assert all(tensor.equal(closed[name]) for name, tensor in theirs.items())
    half = tuple(size // 2 if dimension == split else size for dimension, size in enumerate(ours))
    for part in (0, 1):
        start = tuple(part * half[dimension] if dimension == split else 0 for dimension in range(len(ours)))
        block = dataclasses.replace(whole, start=start, local=half, split=split)
        assert rule.to_ours(theirs.__getitem__, block, HEADS).equal(opened[block.block])


def test_positions_of_two_halves_are_joined_without_the_rows_before_them():
    rule = joined_positions("a", "b", before=2)
    theirs = {name: torch.cat([torch.zeros(2, 3), torch.randn(4, 3)]) for name in "ab"}
    whole = Placement("embedding.position_embeddings.weight", (8, 3), (0, 0), (8, 3), None)
    ours = rule.to_ours(lambda name: theirs[name.partition(".")[0]], whole, HEADS)
    assert ours.equal(torch.cat([theirs["a"][2:], theirs["b"][2:]]))
    assert all(tensor.equal(theirs[name]) for name, tensor in rule.to_theirs(ours, HEADS).items())


def test_queries_keys_and_values_lie_by_group():
    """megatron-core's order, by counting: of two groups, each has three queries, a key and a value of four channels."""
    query, key, value = torch.arange(24), 100 + torch.arange(8), 200 + torch.arange(8)
    whole = Placement("x.bias", (40,), (0,), (40,), None)
    found = qkv("q", "k", "v").to_ours(dict(q=query, k=key, v=value).__getitem__, whole, HEADS)
    assert found.tolist() == [*range(12), *range(100, 104), *range(200, 204), *range(12, 24), *range(104, 108), *range(204, 208)]


def test_rows_beyond_the_vocabulary_are_zero_and_the_others_theirs():
    rows = torch.randn(5, 3)
    for start, local, kept in ((0, 4, 4), (4, 4, 1), (8, 4, 0)):
        place = Placement("embedding.word_embeddings.weight", (12, 3), (start, 0), (local, 3), 0)
        found = same("a").to_ours(lambda name: rows, place, HEADS)
        assert found[:kept].equal(rows[start : start + kept]) and not found[kept:].any()


def test_only_what_is_wanted_is_copied():
    """Parts are views; a block of one tensor is one itself."""
    rows = torch.randn(6, 4)
    block = Placement("x.weight", (6, 4), (3, 0), (3, 4), 0)
    assert same("a").to_ours(lambda name: rows, block, HEADS).data_ptr() == rows[3:].data_ptr()


def test_numbers_and_kinds_are_filled_in():
    mapping = {
        "decoder.layers.*.mlp.experts.*.linear_fc1": gate_and_up("h.*.e.*.w1", "h.*.e.*.w3"),
        "decoder.layers.*.mlp.router.expert_bias": same("h.*.gate.correction"),
        "decoder.final_layernorm": same("norm"),
    }
    assert rule_for(mapping, "decoder.layers.11.mlp.experts.3.linear_fc1.weight").names == (
        "h.11.e.3.w1.weight",
        "h.11.e.3.w3.weight",
    )
    assert rule_for(mapping, "decoder.layers.2.mlp.router.expert_bias").names == ("h.2.gate.correction",)
    assert rule_for(mapping, "decoder.final_layernorm.bias").names == ("norm.bias",)
    assert rule_for(mapping, "decoder.layers.2.mlp.linear_fc1.weight") is None
