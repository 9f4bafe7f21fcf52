"""Context parallelism: CP processes share the tokens of each sample.

A sample is cut into 2·CP chunks, of which process r holds chunks r and 2·CP − 1 − r: a causal query sees what lies before it, so
that an early and a late chunk together cost every process the same. All but attention goes token by token. There, each process
has its own queries and gathers the keys and values of all (as LLaMA 3 was trained, arXiv:2407.21783, section 3.3.2), in the
sample's order, so that any pattern and position works unchanged; grouped queries make what is gathered small. Between forward and
backward a process keeps its own keys and values alone: backward gathers them again. `--context-parallel-size`
"""

from __future__ import annotations

import functools

import torch
from megatron.core import parallel_state

from megatron_ext.models.attention.saved import Again
from megatron_ext.models.attention.tokens import Tokens


def spread() -> bool:
    """Whether several processes share a sample."""
    return parallel_state.get_context_parallel_world_size() > 1


def own_share(tensor: torch.Tensor) -> torch.Tensor:
    """This process's tokens, `[b, s, …]` → `[b, s / CP, …]`."""
    if not spread():
        return tensor
    return _share(tensor, parallel_state.get_context_parallel_world_size(), parallel_state.get_context_parallel_rank())


def _share(tensor: torch.Tensor, size: int, rank: int) -> torch.Tensor:
    chunks = tensor.chunk(2 * size, dim=1)
    return torch.cat([chunks[rank], chunks[-1 - rank]], dim=1)


def own_tokens(
    length: int, device: torch.device, documents: torch.Tensor | None = None, prefix: torch.Tensor | None = None
) -> Tokens:
    """Where this process's queries lie in samples of `length` tokens, whose keys are all there."""
    if not spread():
        return Tokens.whole(length, device, documents, prefix)
    size, rank = parallel_state.get_context_parallel_world_size(), parallel_state.get_context_parallel_rank()
    if documents is None and prefix is None:
        return _tokens_alone(length, device, size, rank)
    return _tokens(length, device, size, rank, documents, prefix)


def _tokens(length: int, device: torch.device, size: int, rank: int, documents=None, prefix=None) -> Tokens:
    queries = _share(torch.arange(length, device=device)[None], size, rank)[0]
    return Tokens(queries, length, documents, runs=(len(queries) // 2,) * 2, prefix=prefix)


_tokens_alone = functools.lru_cache(maxsize=8)(_tokens)  # one object for all passes: what is found out about it is found once


def gathered(*tensors: torch.Tensor) -> tuple[list[torch.Tensor], Again]:
    """This process's keys and values, `[s / CP, b, groups, d]` → those of whole samples, `[s, b, groups, d]`.

    All together, so that processes whose queries look at them in another order gather in the same. The second is for
    `made_again`, around whatever keeps them for backward.
    """
    group = parallel_state.get_context_parallel_group()
    own = torch.cat(tensors, dim=-1)
    whole, own = _Gather.apply(own, group), own.detach()
    parts = whole.split([tensor.shape[-1] for tensor in tensors], dim=-1)
    return parts, Again(whole, lambda: _gather(own, group))


class _Gather(torch.autograd.Function):
    """Backward sums for each token what the queries of all processes found, in fp32 as gradients are summed elsewhere."""

    @staticmethod
    def forward(ctx, own, group):
        ctx.group = group
        return _gather(own, group)

    @staticmethod
    def backward(ctx, grad):
        early, late = grad.unflatten(0, (2, ctx.group.size(), -1))
        by_process = torch.stack([early, late.flip(0)], dim=1).flatten(0, 2)
        by_process = by_process.float() if by_process.element_size() < 4 else by_process
        own = by_process.new_empty(len(by_process) // ctx.group.size(), *by_process.shape[1:])
        torch.distributed.reduce_scatter_tensor(own, by_process, group=ctx.group)
        return own.to(grad.dtype), None


def _gather(own: torch.Tensor, group) -> torch.Tensor:
    """`[s / CP, …]` → `[s, …]` in the sample's order."""
    found = own.new_empty(group.size() * len(own), *own.shape[1:])
    torch.distributed.all_gather_into_tensor(found, own.contiguous(), group=group)
    early, late = found.unflatten(0, (group.size(), 2, -1)).unbind(1)
    return torch.cat([early, late.flip(0)]).flatten(0, 1)
