"""Attention of Transformer-XL: distances in the scores, a memory without gradient (positions/transformer_xl.py has the formulas).

Gradient. Keys and values of a token serve twice: its own segment lets gradient through to the hidden states, later segments,
whose memory it is, to the projection's weights alone (and to those of the norm before it). The numbers are the same, so forward
computes them once; backward gathers the two gradients apart. For the memory's it makes two matrix products with the keys' and
values' rows of the projection (for the weights, and for the norm's; one where no norm stands before attention), beside the
products that any projection has. Forward pays a norm and, in each block, the joining of memory and segment.

Work goes in blocks of at most 128 queries of one segment, which see nothing outside [memory, segment up to the last query];
backward makes a block's scores again, so memory grows linearly in s, and time in s · (memory-length + segment-length). The
position's part is computed by distance and moved into place by a view: row i of `[q, k]` begins one number further left.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from megatron.core import tensor_parallel
from torch.utils.checkpoint import checkpoint

from megatron_ext.models import layer
from megatron_ext.models.attention import core, self_attention
from megatron_ext.models.attention.blocks import QUERIES
from megatron_ext.models.attention.context_parallel import gathered
from megatron_ext.models.attention.saved import made_again
from megatron_ext.models.attention.tokens import Tokens
from megatron_ext.models.positions.transformer_xl import sinusoids


class Keys(NamedTuple):
    """Keys `[s, b, groups, d]`, the same numbers twice, and keys of distances.

    Attributes:
        own: for queries of the same segment: gradient goes on to the hidden states.
        memory: for queries of later segments: gradient goes to the projection alone. The same tensor where there is none.
        distances: W_r R, `[n, heads, d]`, from the farthest to distance 0.
    """

    own: torch.Tensor
    memory: torch.Tensor
    distances: torch.Tensor


class Values(NamedTuple):
    """Values, as Keys has keys."""

    own: torch.Tensor
    memory: torch.Tensor


class Piece(NamedTuple):
    """Queries of one segment, in rows that are cut alike; all in indices of tokens but `queries`, their places in the pass.

    Attributes:
        begin: the first key that they see.
        border: the first key of their segment.
        end: one after the last query.
    """

    rows: slice
    queries: slice
    begin: int
    border: int
    end: int


def pieces(tokens: Tokens, segment: int, memory: int) -> list[list[Piece]]:
    """Cut the queries of a forward pass: for each range of rows, its pieces in the order of the queries."""
    return [
        [piece for spans in _runs(tokens) for piece in _of_run(rows, documents, *spans, segment, memory)]
        for rows, documents in _documents(tokens)
    ]


def _runs(tokens: Tokens) -> Iterator[tuple[int, int, int]]:
    """`(place of its first query, that query's index, one after its last's)` of each run."""
    place = 0
    for length in tokens.runs:
        first = int(tokens.queries[place])
        yield place, first, first + length
        place += length


def _documents(tokens: Tokens) -> Iterator[tuple[slice, list[tuple[int, int]]]]:
    """Rows, and where their documents begin and end; one range of rows where each is one document."""
    if tokens.documents is None:
        yield slice(None), [(0, tokens.keys)]
        return
    borders = tokens.documents[:, 1:] != tokens.documents[:, :-1]
    for row, borders_of_row in enumerate(borders.tolist()):
        begins = [0, *(key + 1 for key, border in enumerate(borders_of_row) if border)]
        yield slice(row, row + 1), list(zip(begins, [*begins[1:], tokens.keys], strict=True))


def _of_run(rows, documents, place: int, first: int, last: int, segment: int, memory: int) -> Iterator[Piece]:
    for start, stop in documents:
        for border in range(start, min(stop, last), segment):
            low, high = max(border, first), min(border + segment, stop, last)
            for query in range(low, high, QUERIES):
                end = min(query + QUERIES, high)
                queries = slice(place + query - first, place + end - first)
                yield Piece(rows, queries, max(start, border - memory), border, end)


class CoreAttention(core.CoreAttention):
    """Attention over this process's heads; u and v are parameters of it, `[heads · d]`."""

    def __init__(self, config, *args, **kwargs):
        super().__init__(config, *args, **kwargs)
        self.segment, self.memory = config.segment_length, config.memory_length
        size = config.num_attention_heads * config.kv_channels // config.tensor_model_parallel_size
        self.u, self.v = (torch.nn.Parameter(_empty(config, size)) for _ in range(2))
        for bias in (self.u, self.v):
            tensor_parallel.set_tensor_model_parallel_attributes(bias, is_parallel=True, dim=0, stride=1)

    def forward(
        self, query, key: Keys, value: Values, attention_mask, attn_mask_type=None, attention_bias=None, packed_seq_params=None
    ):
        """query `[s, b, heads, d]` → `[s, b, heads · d]`; attention_bias: the pass's `Tokens`, or None (core.py)."""
        *key, distances = key
        twice, again = (*key, *value), ()
        if self.spread and key[0] is key[1]:  # as where nothing is learned
            (keys, values), *again = gathered(key[0], value.own)
            twice = keys, keys, values, values
        elif self.spread:
            twice, *again = gathered(*twice)
        query, *twice = (x.permute(1, 2, 0, 3) for x in (query, *twice))
        tokens = Tokens.whole(query.shape[2], query.device) if attention_bias is None else attention_bias
        dropout = self.dropout if self.training else 0.0
        region = tensor_parallel.get_cuda_rng_tracker().fork() if dropout > 0.0 else contextlib.nullcontext()
        with region:
            if tokens.queries.dim() > 1:
                context = self._of_each_row(query, twice[0], twice[2], distances, tokens, dropout)
            else:
                context = self._in_pieces(tokens, dropout, again, distances, query, *twice)
        return context.permute(2, 0, 1, 3).flatten(2)

    def _in_pieces(self, tokens: Tokens, dropout: float, again, distances, *tensors: torch.Tensor) -> torch.Tensor:
        attend = self._piece
        if torch.is_grad_enabled():
            attend = functools.partial(checkpoint, attend, use_reentrant=False, preserve_rng_state=dropout > 0.0)
        cut = "transformer_xl", self.segment, self.memory
        if cut not in tokens.cuts:
            tokens.cuts[cut] = pieces(tokens, self.segment, self.memory)
        # A slice's gradient is as long as what it was cut from: cut once, and slices are cut from short parts.
        query, *twice = (tensor.split(QUERIES, dim=2) for tensor in tensors)

        def attended(piece: Piece) -> torch.Tensor:
            own = [_between(parts, piece.rows, piece.border, piece.end) for parts in twice[::2]]
            before = [_between(parts, piece.rows, piece.begin, piece.border) for parts in twice[1::2]]
            queries = _between(query, piece.rows, piece.queries.start, piece.queries.stop)
            keys, values = (memory + segment for memory, segment in zip(before, own))
            with made_again(*again):  # what a checkpoint keeps of its arguments goes through hooks, but not out of lists
                return attend(len(queries), dropout, distances, *queries, *keys, *values)

        rows = [torch.cat([attended(piece) for piece in of_rows], dim=2) for of_rows in tokens.cuts[cut]]
        return rows[0] if len(rows) == 1 else torch.cat(rows)

    def _piece(self, queries: int, dropout: float, distances: torch.Tensor, *parts: torch.Tensor) -> torch.Tensor:
        """`[rows, heads, q, d]` of a piece, from the parts of its queries (there are `queries`), keys and values."""
        keys = (len(parts) - queries) // 2
        three = parts[:queries], parts[queries : queries + keys], parts[queries + keys :]
        query, key, value = (torch.cat(each, dim=2) for each in three)
        count, keys = query.shape[2], key.shape[2]
        of_distances = self._by_distance(query, distances[-keys:])
        moved = F.pad(of_distances, (0, 1)).flatten(-2)[..., count - 1 : count - 1 + count * keys].unflatten(-1, (count, keys))
        hidden = torch.ones(count, keys, dtype=torch.bool, device=query.device).triu(keys - count + 1)
        return self._mix(query, key, value, moved, hidden, dropout)

    def _of_each_row(self, query, key, value, distances, tokens: Tokens, dropout) -> torch.Tensor:
        """Rows are at different places, as while texts are generated: few queries, and no gradient."""
        index = tokens.queries[..., None]  # [b, q, 1]
        begin = (index // self.segment * self.segment - self.memory).clamp(min=0)
        first = int(begin.min())
        seen = torch.arange(first, tokens.keys, device=query.device)
        column = (len(distances) - 1 - (index - seen)).clamp(0, len(distances) - 1)
        of_distances = self._by_distance(query, distances)
        moved = of_distances.gather(-1, column[:, None].expand(-1, query.shape[1], -1, -1))
        hidden = ((seen < begin) | (seen > index))[:, None]
        return self._mix(query, key[:, :, first:], value[:, :, first:], moved, hidden, dropout)

    def _by_distance(self, query, distances) -> torch.Tensor:
        """(q + v) · W_r R: `[b, heads, q, n]` from `[b, heads, q, d]` and `[n, heads, d]`."""
        return torch.einsum("bhqd,nhd->bhqn", query + self._of_heads(self.v, query), distances)

    def _mix(self, query, key, value, of_distances, hidden, dropout) -> torch.Tensor:
        groups, heads = key.shape[1], query.shape[1]
        content = (query + self._of_heads(self.u, query)).reshape(len(query), groups, -1, query.shape[-1]) @ key.mT
        scale = query.shape[-1] ** -0.5 if self.softmax_scale is None else self.softmax_scale
        scores = (content.view(of_distances.shape) + of_distances).float() * scale
        if self.cap is not None:
            scores = self.cap * torch.tanh(scores / self.cap)
        share = F.dropout(scores.masked_fill(hidden, -torch.inf).softmax(-1).to(value.dtype), dropout)
        return (share.view(len(query), groups, -1, share.shape[-1]) @ value).view(len(query), heads, -1, value.shape[-1])

    @staticmethod
    def _of_heads(bias, query) -> torch.Tensor:
        return bias.view(query.shape[1], 1, query.shape[3])


def _between(parts: tuple[torch.Tensor, ...], rows: slice, begin: int, end: int) -> list[torch.Tensor]:
    """What lies in `[begin, end)` of a tensor that was split into QUERIES along dimension 2."""
    numbers = range(begin // QUERIES, -(-end // QUERIES)) if begin < end else ()
    return [parts[n][rows, :, max(begin - n * QUERIES, 0) : end - n * QUERIES] for n in numbers]


class SelfAttention(self_attention.SelfAttention):
    """Self-attention whose core gets Keys and Values; what it is given as `key_value_states` is its input without gradient."""

    def __init__(self, config, *args, **kwargs):
        super().__init__(config, *args, **kwargs)
        size = self.num_attention_heads_per_partition * self.hidden_size_per_attention_head
        self.linear_r = torch.nn.utils.skip_init(
            torch.nn.Linear, config.hidden_size, size, bias=False, device=torch.cuda.current_device(), dtype=config.params_dtype
        )
        tensor_parallel.set_tensor_model_parallel_attributes(self.linear_r.weight, is_parallel=True, dim=0, stride=1)

    def get_query_key_value_tensors(self, hidden_states, key_value_states=None, **unused):
        """`(query, (key, …), (value, …))`, each `[s, b, heads, d]`: keys and values once, or for the segment and the memory."""
        mixed, _ = self.linear_qkv(hidden_states)
        groups, width = self.num_query_groups_per_partition, self.hidden_size_per_attention_head
        mixed = mixed.unflatten(-1, (groups, -1, width))
        query, both = mixed[..., :-2, :].flatten(2, 3), [mixed[..., -2:, :]]
        if key_value_states is not None:
            both.append(self._without_hidden_states(key_value_states, both[0].detach()))
        if self.q_layernorm is not None:
            query = self.q_layernorm(query)
        keys = (pair[..., 0, :] if self.k_layernorm is None else self.k_layernorm(pair[..., 0, :]) for pair in both)
        return query, tuple(keys), tuple(pair[..., 1, :] for pair in both)

    def _without_hidden_states(self, states, known: torch.Tensor) -> torch.Tensor:
        """`known` keys and values `[s, b, groups, 2, d]`, whose gradient goes to the projection, and to what made `states`."""
        groups, _, width = known.shape[2:]
        rows, bias = (
            parameter if parameter is None else parameter.unflatten(0, (groups, -1, width))[:, -2:].flatten(0, 2)
            for parameter in (self.linear_qkv.weight, self.linear_qkv.bias)
        )
        return _Known.apply(states, rows, bias, known.flatten(2), self.config.sequence_parallel).view(known.shape)

    def _adjust_key_value_for_inference(self, inference_context, query, key, value, *rest):
        span = self.config.memory_length + self.config.segment_length
        if inference_context is not None:
            adjust = super()._adjust_key_value_for_inference
            query, key, value, *rest = adjust(inference_context, query, key[0], value[0], *rest)
            count = min(span, inference_context.max_sequence_length)
            distances = inference_context.once(self.layer_number, lambda: self._distances(count))
            return query, Keys(key, key, distances), Values(value, value), *rest
        adjusted = super()._adjust_key_value_for_inference(None, query, key, value, *rest)
        distances = self._distances(min(span, len(key[0]) * self.config.context_parallel_size))
        return query, Keys(key[0], key[-1], distances), Values(value[0], value[-1]), *adjusted[3:]

    def _distances(self, count: int) -> torch.Tensor:
        weight = self.linear_r.weight
        table = sinusoids(torch.arange(count - 1, -1, -1, device=weight.device), weight.shape[1])
        return self.linear_r(table.to(weight.dtype)).unflatten(1, (-1, self.hidden_size_per_attention_head))


class _Known(torch.autograd.Function):
    """A linear layer whose output is known: nothing to compute forward; backward is that of a column-parallel layer."""

    @staticmethod
    def forward(ctx, states, weight, bias, known, sequence_parallel: bool):
        ctx.save_for_backward(states, weight)
        ctx.sequence_parallel = sequence_parallel
        return known.view_as(known)

    @staticmethod
    def backward(ctx, grad):
        states, weight = ctx.saved_tensors
        whole, collect = states, tensor_parallel.reduce_from_tensor_model_parallel_region
        if ctx.sequence_parallel:
            whole = tensor_parallel.gather_from_sequence_parallel_region(states)
            collect = tensor_parallel.reduce_scatter_to_sequence_parallel_region
        of_states = collect(grad @ weight) if ctx.needs_input_grad[0] else None
        of_weight = grad.flatten(0, 1).mT @ whole.flatten(0, 1)
        of_bias = grad.sum((0, 1)) if ctx.needs_input_grad[2] else None
        return of_states, of_weight, of_bias, None, None


class Layer(layer.Layer):
    """A layer that shows attention its input twice, once without a way back; not while nothing is learned."""

    def forward(self, hidden_states, **kwargs):
        if torch.is_grad_enabled():
            kwargs["key_value_states"] = self.input_layernorm(hidden_states.detach())
        return super().forward(hidden_states, **kwargs)


def _empty(config, *shape: int) -> torch.Tensor:
    return torch.empty(*shape, dtype=config.params_dtype, device=torch.cuda.current_device())
