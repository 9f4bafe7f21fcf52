"""Shared samples: every pattern, with documents, a bias or a cap, gives each process what one process alone would find."""

from __future__ import annotations

import pytest
import torch

PATTERNS = ["causal", "full", "prefix", "sliding_window"]
KINDS = ["plain", "documents", "bias", "learned", "capped", "dropout"]
LENGTH, BATCH, HEADS, GROUPS, WIDTH = 272, 2, 4, 2, 8


def case(launch, pattern: str, kind: str):
    """Largest deviations of outputs and gradients from one process's; whether the gathered keys were let go; gatherings."""
    from torch.multiprocessing.reductions import StorageWeakRef

    from megatron_ext.backend.distributed import initialize_model_parallel, start, stop
    from megatron_ext.models.attention import context_parallel
    from tests.models.attention.cores import Tokens, core

    start(launch, "cpu")
    gather, seen = context_parallel._gather, []
    try:
        initialize_model_parallel(context=launch.world_size)
        torch.manual_seed(0)
        heads = (HEADS, GROUPS, GROUPS)
        whole = [torch.randn(BATCH, LENGTH, n, WIDTH, dtype=torch.float64, requires_grad=True) for n in heads]
        documents = torch.arange(LENGTH).expand(BATCH, -1) // torch.tensor([[40], [33]]) if kind == "documents" else None
        prefix = torch.arange(LENGTH).expand(BATCH, -1) % 60 < 25 if pattern == "prefix" else None
        slope = torch.tensor(-0.1, dtype=torch.float64, requires_grad=kind == "learned")
        bias = (lambda query, key: slope * (query - key).abs().double()[None]) if kind in ("bias", "learned") else None
        module = core(pattern, 2.0 if kind == "capped" else None, bias, learns_bias=kind == "learned")
        expected = module(
            *(x.transpose(0, 1) for x in whole), None, attention_bias=Tokens.whole(LENGTH, "cpu", documents, prefix)
        )
        weights = torch.randn_like(expected)
        (expected * weights).sum().backward()

        def spy(*args):
            found = gather(*args)
            seen.append(StorageWeakRef(found.untyped_storage()))
            return found

        context_parallel._gather = spy
        module.spread, module.dropout = True, 0.1 if kind == "dropout" else 0.0
        own = [context_parallel.own_share(x.detach()).requires_grad_() for x in whole]
        tokens = context_parallel.own_tokens(LENGTH, torch.device("cpu"), documents, prefix)
        found = module(*(x.transpose(0, 1) for x in own), None, attention_bias=tokens)
        let_go = [each.expired() for each in seen]
        mine = context_parallel.own_share(weights.transpose(0, 1)).transpose(0, 1)
        (found * mine).sum().backward()
        pairs = [(found.transpose(0, 1), expected.transpose(0, 1)), *((a.grad, b.grad) for a, b in zip(own, whole, strict=True))]
        apart = [(a - context_parallel.own_share(b)).abs().max().item() for a, b in pairs]
        return apart, let_go, len(seen), [each.expired() for each in seen]
    finally:
        context_parallel._gather = gather
        stop()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_equals_one_process(pattern, kind, pool):
    for size in (2, 4) if (pattern, kind) == ("causal", "plain") else (2,):
        for apart, let_go, gatherings, gone in pool.run(case, size, pattern, kind):
            if kind != "dropout":  # which is drawn on each process
                assert max(apart) < (1e-5 if kind == "capped" else 1e-10), apart  # capped scores are fp32
            assert let_go == [True], "the gathered keys are kept between forward and backward"
            assert gatherings == 2, "backward gathers once for all blocks"
            assert all(gone)
