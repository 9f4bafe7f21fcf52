"""Our parameters ↔ the tensors of a Hugging Face model, one mapping for both directions.

A family's mapping is a dict from our names (`backend/placement.py`) to rules. A `*` stands for a number, of a layer or an
expert, in theirs `*+61` for 61 more, and what is said of `x.linear_qkv` holds for its weight and its bias:

    "decoder.layers.*.self_attention.linear_qkv": qkv(*(f"model.layers.*.self_attn.{part}_proj" for part in "qkv")),
    "decoder.layers.*.mlp.linear_fc1": gate_and_up("model.layers.*.mlp.gate_proj", "model.layers.*.mlp.up_proj"),

A rule's reshaping turns their tensors into parts, whose concatenation along `axis` is ours with its rows still apart (query,
key and value of each group), and back. Parts are views: of a tensor that lies in a file, only the block that a process wants
is read.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from megatron_ext.backend.placement import VOCABULARY, Placement

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
_STAR = re.compile(r"\*(?:\+(\d+))?")


@dataclasses.dataclass(frozen=True)
class Heads:
    """Attention's: groups of query heads that share a key and a value, query heads in a group, channels of a head."""

    groups: int
    queries: int
    width: int

    @classmethod
    def of(cls, values: Mapping) -> Heads:
        """Of resolved flags by field name."""
        groups = values["num_query_groups"]
        return cls(groups, values["num_attention_heads"] // groups, values["kv_channels"])


class Same:
    """One tensor, as it is."""

    axis, lead = 0, 1  # parts are joined along `axis`; the first `lead` dimensions of the joined are ours' first

    def parts(self, theirs: Sequence[Tensor], heads: Heads) -> list[Tensor]:
        return list(theirs)

    def theirs(self, ours: Tensor, heads: Heads) -> list[Tensor]:
        return [ours]


class QueryKeyValue:
    """Three projections, each head by head ↔ one, in which each group's queries, key and value follow each other."""

    axis, lead = 1, 3

    def parts(self, theirs: Sequence[Tensor], heads: Heads) -> list[Tensor]:
        return [rows.unflatten(0, (heads.groups, -1, heads.width)) for rows in theirs]

    def theirs(self, ours: Tensor, heads: Heads) -> list[Tensor]:
        grouped = ours.unflatten(0, (heads.groups, heads.queries + 2, heads.width))
        return [part.flatten(0, 2) for part in grouped.split((heads.queries, 1, 1), dim=1)]


class StackedQueryKeyValue(QueryKeyValue):
    """One projection: all queries, all keys, all values ↔ the same by groups."""

    def parts(self, theirs: Sequence[Tensor], heads: Heads) -> list[Tensor]:
        rows = heads.groups * heads.width
        return super().parts(theirs[0].split((heads.queries * rows, rows, rows)), heads)

    def theirs(self, ours: Tensor, heads: Heads) -> list[Tensor]:
        return [torch.cat(super().theirs(ours, heads))]


class KeyValue(QueryKeyValue):
    """Two projections, each head by head ↔ one, in which each group's key and value follow each other."""

    def theirs(self, ours: Tensor, heads: Heads) -> list[Tensor]:
        return [part.flatten(0, 2) for part in ours.unflatten(0, (heads.groups, 2, heads.width)).split(1, dim=1)]


class Stacked:
    """Two tensors ↔ `[2, …]`: the gate's matrix and the value's, an encoder's table and a decoder's."""

    axis, lead = 0, 1

    def parts(self, theirs: Sequence[Tensor], heads: Heads) -> list[Tensor]:
        return [rows.unsqueeze(0) for rows in theirs]

    def theirs(self, ours: Tensor, heads: Heads) -> list[Tensor]:
        return list(ours.unbind(0))


class GateAndUpInOne(Stacked):
    """One tensor: the gate's rows, then the value's ↔ `[2, …]`."""

    def parts(self, theirs: Sequence[Tensor], heads: Heads) -> list[Tensor]:
        return super().parts(theirs[0].chunk(2), heads)

    def theirs(self, ours: Tensor, heads: Heads) -> list[Tensor]:
        return [ours.flatten(0, 1)]


class JoinedPositions:
    """A table of positions of an encoder and one of a decoder, each with rows before its first that nothing looks up ↔ one."""

    axis, lead = 0, 1

    def __init__(self, before: int):
        self.before = before

    def parts(self, theirs: Sequence[Tensor], heads: Heads) -> list[Tensor]:
        return [rows[self.before :] for rows in theirs]

    def theirs(self, ours: Tensor, heads: Heads) -> list[Tensor]:
        return [torch.cat([half.new_zeros(self.before, half.shape[1]), half]) for half in ours.chunk(2)]


@dataclasses.dataclass(frozen=True)
class Rule:
    """How one of our parameters lies in their tensors.

    Attributes:
        names: of their tensors.
        transposed: their matrices are `[in, out]` (GPT-2's Conv1D).
        in_fp32: they stay in fp32, whatever the type of the others.
    """

    names: tuple[str, ...]
    reshaping: Same
    transposed: bool = False
    in_fp32: bool = False

    def dtype(self, dtype: torch.dtype) -> torch.dtype:
        """The type of their tensors in a folder whose type is `dtype`."""
        return torch.float32 if self.in_fp32 else dtype

    def shapes(self, shape: Sequence[int], heads: Heads) -> dict[str, tuple[int, ...]]:
        """The shapes of their tensors by name, from ours."""
        theirs = self.to_theirs(torch.empty(tuple(shape), device="meta"), heads)
        return {name: tuple(tensor.shape) for name, tensor in theirs.items()}

    def to_theirs(self, ours: Tensor, heads: Heads) -> dict[str, Tensor]:
        """Our whole parameter → their tensors by name."""
        theirs = self.reshaping.theirs(ours, heads)
        return dict(zip(self.names, map(self._turned, theirs), strict=True))

    def to_ours(self, tensor: Callable[[str], Tensor], place: Placement, heads: Heads) -> Tensor:
        """Their tensors, looked up by name → the block `place` of ours. Rows that only pad the vocabulary are 0."""
        parts = self.reshaping.parts([self._turned(tensor(name)) for name in self.names], heads)
        if place.name in VOCABULARY:
            return _with_padding(parts[0], place)
        axis, lead = self.reshaping.axis, self.reshaping.lead
        rows = sum(math.prod(part.shape[1:lead]) for part in parts)  # of ours, for each step of the parts' first dimension
        for dimension, (start, size) in enumerate(zip(place.start, place.local, strict=True)):
            if dimension == 0 and lead > 1:  # tensor parallelism cuts between groups
                parts = [part.narrow(0, start // rows, size // rows) for part in parts]
            elif dimension + lead - 1 != axis or len(parts) == 1:
                parts = [part.narrow(dimension + lead - 1, start, size) for part in parts]
        whole = torch.cat(parts, axis) if len(parts) > 1 else parts[0]
        return whole.flatten(0, lead - 1) if lead > 1 else whole

    def _turned(self, tensor: Tensor) -> Tensor:
        return tensor.T if self.transposed and tensor.dim() == 2 else tensor


def _with_padding(rows: Tensor, place: Placement) -> Tensor:
    kept = rows[place.start[0] : place.start[0] + place.local[0]]
    return torch.cat([kept, kept.new_zeros(place.local[0] - kept.shape[0], *kept.shape[1:])])


def same(name: str) -> Rule:
    return Rule((name,), Same())


def in_fp32(name: str) -> Rule:
    return Rule((name,), Same(), in_fp32=True)


def transposed(name: str) -> Rule:
    return Rule((name,), Same(), transposed=True)


def qkv(query: str, key: str, value: str) -> Rule:
    return Rule((query, key, value), QueryKeyValue())


def stacked_qkv(name: str, transposed: bool = False) -> Rule:
    return Rule((name,), StackedQueryKeyValue(), transposed)


def key_value(key: str, value: str) -> Rule:
    return Rule((key, value), KeyValue())


def stacked(first: str, second: str) -> Rule:
    return Rule((first, second), Stacked())


def gate_and_up(gate: str, up: str) -> Rule:
    return stacked(gate, up)


def gate_and_up_in_one(name: str) -> Rule:
    return Rule((name,), GateAndUpInOne())


def joined_positions(encoder: str, decoder: str, before: int) -> Rule:
    return Rule((encoder, decoder), JoinedPositions(before))


def rule_for(mapping: Mapping[str, Rule], name: str) -> Rule | None:
    """The rule of one of our parameters, its numbers and its `weight` or `bias` filled in; None where there is none."""
    numbers = _NUMBER.findall(name)
    pattern = _NUMBER.sub("*", name)
    stem, _, kind = pattern.rpartition(".")
    rule, suffix = (mapping[pattern], "") if pattern in mapping else (mapping.get(stem), f".{kind}")
    if rule is None:
        return None
    return dataclasses.replace(rule, names=tuple(_filled(theirs, numbers) + suffix for theirs in rule.names))


def _filled(pattern: str, numbers: Sequence[str]) -> str:
    left = iter(numbers)
    return _STAR.sub(lambda star: str(int(next(left)) + int(star.group(1) or 0)), pattern)
