"""Flags of positions: a part of the model's group."""

from __future__ import annotations

import dataclasses

from megatron_ext.arguments.flags import flag
from megatron_ext.arguments.problems import Problem
from megatron_ext.arguments.registry import Registry

# Flag: the position that it belongs to.
_BELONGS_TO = {"rotary_base": "rope", "rotary_percent": "rope", "rotary_interleaved": "rope", "alibi_scale_by_head_dim": "alibi"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PositionFlags:
    position_embedding_type: str = flag(
        "rope", "how the model knows positions", choices=Registry("megatron_ext.models.positions")
    )
    max_position_embeddings: int | None = flag(None, "largest position there is room for [seq-length]", least=1)
    rotary_base: int = flag(10000, "base of the rotary frequencies", least=1)
    rotary_percent: float = flag(1.0, "share of a head's channels that is rotated", positive=True, most=1.0)
    rotary_interleaved: bool = flag(False, "rotate channels 2i and 2i + 1 together (GPT-J), not i and i + d/2")
    alibi_scale_by_head_dim: bool = flag(False, "ALiBi's bias is divided by √(width of a head), like the scores (Falcon)")

    @staticmethod
    def check_positions(c):
        for name, position in _BELONGS_TO.items():
            if name in c.typed and getattr(c, name) and c.position_embedding_type != position:
                option, given = f"--{name.replace('_', '-')}", f"--position-embedding-type {c.position_embedding_type}"
                value = None if getattr(c, name) is True else getattr(c, name)
                yield Problem(option, value, f"has no effect with {given}", f"use {position}, or leave it out")
        if c.max_position_embeddings < c.seq_length:
            yield Problem("--max-position-embeddings", c.max_position_embeddings, f"is below --seq-length {c.seq_length}")
