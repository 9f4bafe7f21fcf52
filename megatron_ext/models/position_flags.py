"""Flags of positions: a part of the model's group."""

from __future__ import annotations

import dataclasses

from megatron_ext.arguments.flags import flag
from megatron_ext.arguments.problems import Problem
from megatron_ext.arguments.registry import Registry

# Flag: the position that it belongs to.
_BELONGS_TO = {"rotary_base": "rope", "rotary_percent": "rope", "rotary_interleaved": "rope", "alibi_scale_by_head_dim": "alibi",
               "segment_length": "transformer_xl", "memory_length": "transformer_xl"}  # fmt: skip
# What transformer_xl's own layers and core have not: flag, the value that asks for nothing, why.
_WITHOUT_XL = (
    ("attention_pattern", ("causal",), "is a pattern of its own beside transformer_xl's segments and memory"),
    ("transformer_impl", ("auto", "local"), "has no layers of transformer_xl"),
    ("attention_backend", ("auto", "local", "unfused"), "has no kernel for transformer_xl's scores"),
    ("gradient_accumulation_fusion", (False,), "would lose the gradient that transformer_xl's memory gives to keys and values"),
    ("fp8_format", (None,), "is for Transformer Engine's layers, which have no transformer_xl"),
    ("tp_comm_overlap", (False,), "is for Transformer Engine's layers, which have no transformer_xl"),
    ("cuda_graph_impl", ("none",), "captures layers whose input comes once, and transformer_xl's comes twice"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PositionFlags:
    position_embedding_type: str = flag(
        "rope", "how the model knows positions", choices=Registry("megatron_ext.models.positions")
    )
    max_position_embeddings: int | None = flag(None, "largest position there is room for [seq-length]", least=1)
    rotary_base: int = flag(10000, "base of the rotary frequencies", least=1)
    rotary_percent: float = flag(1.0, "share of a head's channels that is rotated", positive=True, most=1.0)
    rotary_interleaved: bool = flag(False, "rotate channels 2i and 2i + 1 together (GPT-J), not i and i + d/2")
    segment_length: int | None = flag(None, "tokens of a segment of transformer_xl [a quarter of seq-length]", least=1)
    memory_length: int | None = flag(None, "tokens before a segment that it sees, without gradient [segment-length]", least=0)
    alibi_scale_by_head_dim: bool = flag(False, "ALiBi's bias is divided by √(width of a head), like the scores (Falcon)")

    @staticmethod
    def resolve_positions(c):
        if c.max_position_embeddings is None:
            c.max_position_embeddings = c.seq_length
        if c.position_embedding_type == "transformer_xl":
            if c.segment_length is None:
                c.segment_length = -(-c.seq_length // 4)
            if c.memory_length is None:
                c.memory_length = c.segment_length

    @staticmethod
    def check_positions(c):
        for name, position in _BELONGS_TO.items():
            asked = name in c.typed and getattr(c, name) is not None and getattr(c, name) is not False
            if asked and c.position_embedding_type != position:
                option, given = f"--{name.replace('_', '-')}", f"--position-embedding-type {c.position_embedding_type}"
                value = None if getattr(c, name) is True else getattr(c, name)
                yield Problem(option, value, f"has no effect with {given}", f"use {position}, or leave it out")
        if c.max_position_embeddings < c.seq_length:
            yield Problem("--max-position-embeddings", c.max_position_embeddings, f"is below --seq-length {c.seq_length}")
        if c.position_embedding_type == "transformer_xl":
            yield from _transformer_xl(c)


def _transformer_xl(c):
    if c.segment_length > c.seq_length:
        yield Problem("--segment-length", c.segment_length, f"is above --seq-length {c.seq_length}, which is cut into segments")
    for name, values, reason in _WITHOUT_XL:
        found = getattr(c, name)
        for value in found if isinstance(found, tuple) else (found,):
            if value not in values:
                option = f"--{name.replace('_', '-')}"
                yield Problem(option, None if value is True else value, reason, "leave it out, or use other positions")
