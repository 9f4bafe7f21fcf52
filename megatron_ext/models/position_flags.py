"""Flags of positions: a part of the model's group."""

from __future__ import annotations

import dataclasses
import math

from megatron_ext.arguments.flags import flag
from megatron_ext.arguments.problems import Problem
from megatron_ext.arguments.registry import Registry
from megatron_ext.backend import pipeline
from megatron_ext.models.architecture_flags import length_flags, lengths

# Flag: the positions that it belongs to.
_BELONGS_TO = {
    "rotary_base": ("rope", "xpos"),
    "rotary_percent": ("rope",),
    "rotary_interleaved": ("rope",),
    "alibi_scale_by_head_dim": ("alibi",),
    "segment_length": ("transformer_xl",),
    "memory_length": ("transformer_xl",),
    "xpos_scale_base": ("xpos",),
    "relative_attention_num_buckets": ("t5_bias",),
    "relative_attention_max_distance": ("t5_bias",),
    "relative_attention_bias_per_layer": ("t5_bias",),
}
XPOS_GAMMA = 0.4  # of arXiv:2212.10554
# xPos multiplies queries and keys by factors up to 2^this: what is left of a type's range is theirs and their gradients'.
_XPOS_BITS, _XPOS_BITS_IN_FP16 = 96, 8
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
    xpos_scale_base: int = flag(512, "tokens after which xpos multiplies once by its factors", least=1)
    relative_attention_num_buckets: int = flag(32, "buckets of distances in t5_bias", least=2)
    relative_attention_max_distance: int = flag(128, "distance from which on t5_bias tells none apart", least=2)
    relative_attention_bias_per_layer: bool = flag(False, "each layer has a table of its own for t5_bias (UMT5)")

    @staticmethod
    def resolve_positions(c):
        if c.max_position_embeddings is None:
            c.max_position_embeddings = max(lengths(c))
        if c.position_embedding_type == "transformer_xl":
            if c.segment_length is None:
                c.segment_length = -(-c.seq_length // 4)
            if c.memory_length is None:
                c.memory_length = c.segment_length

    @staticmethod
    def check_positions(c):
        for name, positions in _BELONGS_TO.items():
            asked = name in c.typed and getattr(c, name) is not None and getattr(c, name) is not False
            if asked and c.position_embedding_type not in positions:
                option, given = f"--{name.replace('_', '-')}", f"--position-embedding-type {c.position_embedding_type}"
                value = None if getattr(c, name) is True else getattr(c, name)
                yield Problem(option, value, f"has no effect with {given}", f"use {' or '.join(positions)}, or leave it out")
        for name, length in length_flags(c).items():
            if c.max_position_embeddings < length:
                yield Problem("--max-position-embeddings", c.max_position_embeddings, f"is below {name} {length}")
        if c.position_embedding_type == "xpos":
            yield from _xpos(c)
        if c.position_embedding_type == "t5_bias":
            yield from _t5_bias(c)
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


def _xpos(c):
    bits = _XPOS_BITS_IN_FP16 if c.fp16 else _XPOS_BITS
    most = int(2 * bits * c.xpos_scale_base / math.log2((1 + XPOS_GAMMA) / XPOS_GAMMA))
    if c.max_position_embeddings > most:
        kind = "16-bit floats (--fp16)" if c.fp16 else "floats"
        reason = f"are more than {most}, beyond which the factors of xpos leave the range of {kind}"
        yield Problem("--max-position-embeddings", c.max_position_embeddings, reason, "use a larger --xpos-scale-base")
    if c.transformer_impl == "transformer_engine":
        yield Problem(
            "--position-embedding-type", "xpos", "is there in the local layers alone", "use --transformer-impl local, or auto"
        )


def _t5_bias(c):
    exact, farthest = c.relative_attention_num_buckets // 2, c.relative_attention_max_distance
    if farthest <= exact:
        reason = f"is not beyond the {exact} distances that have a bucket of their own, half of --relative-attention-num-buckets"
        yield Problem("--relative-attention-max-distance", farthest, reason)
    stages = c.pipeline_model_parallel_size
    if stages > 1 and not c.relative_attention_bias_per_layer and not any(pipeline.problems(c)):
        layers = [chunk.layers for chunk in pipeline.chunks(c, c)]
        if any(sum(layers[stage::stages]) == 0 for stage in range(stages)):
            reason = "has a stage without layers, and with t5_bias each stage holds a part of the bias's gradient"
            yield Problem("--pipeline-model-parallel-layout", c.pipeline_model_parallel_layout, reason, "give each a layer")
