"""Where a parameter's state lies in a checkpoint: boxes of tensors with megatron-core's names.

A process may hold any range of its flattened block of a parameter (ZeRO-1 cuts in the middle of a row). torch's distributed
checkpoints know boxes, so a range is cut into boxes: the rest of a row, whole rows, the beginning of a row. megatron-core
0.16.1 has given up ranges and gathers the optimizer's state on one process instead; boxes need no gathering, and any layout
reads what any other wrote.

Names are megatron-core's, as `sharded_state_dict(metadata={"non_homogeneous_layers": True})` gives them: norms carry the name
that Transformer Engine's fused layers have, a gated fc1 is `[2·ffn, hidden]`, a layer's experts are one tensor
`[experts, …]`. Moments are `optimizer.state.exp_avg.NAME`.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from megatron_ext.backend.placement import Placement

_FUSED_NORMS = (
    (re.compile(r"\.input_layernorm\.(weight|bias)$"), r".self_attention.linear_qkv.layer_norm_\1"),
    (re.compile(r"\.pre_mlp_layernorm\.(weight|bias)$"), r".mlp.linear_fc1.layer_norm_\1"),
)
_EXPERT = re.compile(r"\.mlp\.experts\.(\d+)\.")
_LAYER = re.compile(r"^(?:en|de)coder\.layers\.(\d+)\.")


class Experts(NamedTuple):
    """Attributes: count: experts in a layer that has some; layers: which have, one for each."""

    count: int
    layers: tuple[bool, ...]

    @classmethod
    def of(cls, model_config) -> Experts | None:
        """Those of a model; None without any."""
        count = model_config.num_moe_experts
        return None if count is None else cls(count, model_config.layers_with_experts)

    def in_layer_of(self, name: str) -> bool:
        """Whether the layer that a parameter belongs to has experts; multi-token prediction's are like the last."""
        if name.startswith("mtp."):
            return self.layers[-1]
        layer = _LAYER.match(name)
        return layer is not None and self.layers[int(layer.group(1))]


@dataclasses.dataclass(frozen=True)
class Region:
    """A box of a stored tensor that is a stretch of a flattened block.

    Attributes:
        key: the tensor's name in the checkpoint, without the optimizer's prefix.
        shape: of the whole tensor.
        offsets, sizes: the box.
        begin, end: the stretch, counted from the block's first number.
    """

    key: str
    shape: tuple[int, ...]
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    begin: int
    end: int


def regions(place: Placement, begin: int, end: int, experts: Experts | None) -> Iterator[Region]:
    """The boxes that make up numbers `begin` … `end` − 1 of the block `place`, flattened."""
    key, expert = stored_name(place.name, experts)
    for start, local, shape, first in _flat_parts(place):
        count = math.prod(local)
        low, high = max(begin - first, 0), min(end - first, count)
        if low >= high:
            continue
        for box, sizes, at in _boxes(local, low, high):
            offsets = tuple(a + b for a, b in zip(start, box, strict=True))
            size = math.prod(sizes)
            lead = ((expert,), (1,), (experts.count,)) if expert is not None else ((), (), ())
            yield Region(
                key, (*lead[2], *shape), (*lead[0], *offsets), (*lead[1], *sizes), first + at, first + at + size
            )  # fmt: skip


def stored_name(name: str, experts: Experts | None) -> tuple[str, int | None]:
    """`(name in the checkpoint, expert's number or None)` of a parameter."""
    dense = experts is None or not experts.in_layer_of(name)
    for pattern, fused in _FUSED_NORMS if dense else _FUSED_NORMS[:1]:
        name = pattern.sub(fused, name)
    found = _EXPERT.search(name)
    if found is None:
        return name, None
    return _EXPERT.sub(".mlp.experts.experts.", name), int(found.group(1))


def stacked(region: Region, layers: int) -> Region | None:
    """The same box where all layers are one tensor `[layers, …]`, as Megatron-LM writes when layers are alike."""
    found = _LAYER.match(region.key)
    if found is None:
        return None
    return dataclasses.replace(
        region,
        key=_LAYER.sub("decoder.layers.", region.key),
        shape=(layers, *region.shape),
        offsets=(int(found.group(1)), *region.offsets),
        sizes=(1, *region.sizes),
    )


def _flat_parts(place: Placement) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], int]]:
    """`(start, local, shape, first)` of a block's parts in the stored tensor; `first` counts from the block's first number.

    A gated fc1 is `[2, ffn, …]` here and `[2·ffn, …]` there, so its block has two parts.
    """
    if len(place.shape) >= 2 and place.gated:
        _, ffn, *rest = place.shape
        for gate in range(place.local[0]):
            start = ((place.start[0] + gate) * ffn + place.start[1], *place.start[2:])
            yield start, place.local[1:], (2 * ffn, *rest), gate * math.prod(place.local[1:])
    else:
        yield place.start, place.local, place.shape, 0


def _boxes(shape: tuple[int, ...], begin: int, end: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], int]]:
    """Cut a range of a flattened array into boxes: `(offsets, sizes, first number)`. At most 2·dimensions − 1 of them."""
    if len(shape) == 1:
        yield (begin,), (end - begin,), begin
        return
    row = math.prod(shape[1:])
    first, last = -(-begin // row), end // row  # whole rows
    if first > last:  # inside one row
        yield from _within_row(shape, last, begin, end, row)
        return
    if begin < first * row:
        yield from _within_row(shape, first - 1, begin, first * row, row)
    if first < last:
        yield (first, *(0,) * (len(shape) - 1)), (last - first, *shape[1:]), first * row
    if last * row < end:
        yield from _within_row(shape, last, last * row, end, row)


def _within_row(shape, number: int, begin: int, end: int, row: int):
    for offsets, sizes, at in _boxes(shape[1:], begin - number * row, end - number * row):
        yield (number, *offsets), (1, *sizes), number * row + at
