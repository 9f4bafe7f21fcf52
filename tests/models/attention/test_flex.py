"""FlexAttention equals blocks of queries: every pattern with and without documents, ALiBi, a cap and grouped queries.

Uncompiled, as it also runs on a CPU. There it refuses a backward, but the formulas that it is given have one: with that refusal
taken away, gradients too are compared. What is compiled for CUDA is tested in tests/gpu.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.attention import flex_attention as torchs

from megatron_ext.models.attention import core as core_module
from megatron_ext.models.attention import flex
from megatron_ext.models.attention.core import PATTERNS
from megatron_ext.models.attention.saved import Again
from megatron_ext.models.attention.tokens import Tokens, _alone
from megatron_ext.models.positions import alibi
from tests.models.attention.cores import Limits, core

LENGTH, LIMITS = 150, Limits(window=70)  # more than a block, and not two
DOCUMENTS = torch.tensor([[0] * 30 + [1] * 110 + [2] * 10, [0] * LENGTH])
PREFIX = torch.arange(LENGTH).expand(2, -1) % 110 < torch.tensor([[45], [40]])


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch):
    monkeypatch.setattr(torchs, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)  # no graph made for each case
    _alone.cache_clear()


def bias_of(heads: int):
    slopes = alibi.slopes(heads)
    return lambda query, key: -slopes[:, None, None] * (query - key).abs().float().unsqueeze(-3)


def inputs(heads: int, groups: int, grad: bool = False):
    torch.manual_seed(0)
    return [torch.randn(LENGTH, 2, n, 16, requires_grad=grad) for n in (heads, groups, groups)]


def both(pattern, bias, cap, tokens, tensors):
    """`[s, b, heads · d]` of FlexAttention and of blocks."""
    kernels = ("flex", "scores" if cap else "blocks")
    return [core(pattern, cap, bias, LIMITS, kernel=kernel)(*tensors, None, attention_bias=tokens) for kernel in kernels]


CASES = list(itertools.product(PATTERNS, (False, True), (None, 2.0), (None, DOCUMENTS), ((4, 4), (6, 2))))


@pytest.mark.parametrize(("pattern", "biased", "cap", "documents", "heads"), CASES)
def test_equals_blocks(pattern, biased, cap, documents, heads):
    bias = bias_of(heads[0]) if biased else None
    found, expected = both(pattern, bias, cap, Tokens.whole(LENGTH, "cpu", documents, PREFIX), inputs(*heads))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("cap", [None, 2.0])
@pytest.mark.parametrize("biased", [False, True])
def test_gradients_equal_those_of_blocks(biased, cap, monkeypatch):
    monkeypatch.setattr(torchs, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", False)  # which has no backward
    monkeypatch.setattr(torchs, "_validate_device", lambda *tensors: None)
    torch._dynamo.reset()
    bias, tensors = bias_of(6) if biased else None, inputs(6, 2, grad=True)
    outputs = both("sliding_window", bias, cap, Tokens.whole(LENGTH, "cpu", DOCUMENTS), tensors)
    weights = torch.randn_like(outputs[0])
    found, expected = (torch.autograd.grad((output * weights).sum(), tensors) for output in outputs)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("documents", [None, DOCUMENTS], ids=["one document", "three"])
@pytest.mark.parametrize("pattern", list(PATTERNS))
def test_two_runs_of_queries_see_what_one_does(pattern, documents):
    """As context parallelism cuts a sample."""
    query, key, value = inputs(6, 2)
    index, bias = torch.tensor([*range(35), *range(115, LENGTH)]), bias_of(6)
    module = core(pattern, None, bias, LIMITS, kernel="flex")
    whole = module(query, key, value, None, attention_bias=Tokens.whole(LENGTH, "cpu", documents, PREFIX))
    tokens = Tokens(index, LENGTH, documents, runs=(35, 35), prefix=PREFIX)
    part = module(query[index], key, value, None, attention_bias=tokens)
    torch.testing.assert_close(part, whole[index])


def test_blocks_are_found_once_for_all_layers_of_a_pattern(monkeypatch):
    made = []
    original = flex.create_block_mask
    monkeypatch.setattr(flex, "create_block_mask", lambda *args, **kwargs: made.append(1) or original(*args, **kwargs))
    tensors = inputs(4, 4)
    layers = [core(pattern, limits=LIMITS, kernel="flex") for pattern in ("sliding_window", "causal") * 3]
    for _ in range(2):  # without documents, once for all passes too
        for layer in layers:
            layer(*tensors, None)
    assert len(made) == 2
    for _ in range(2):
        tokens = Tokens.whole(LENGTH, "cpu", DOCUMENTS)
        for layer in layers:
            layer(*tensors, None, attention_bias=tokens)
    assert len(made) == 2 + 2 * 2


def test_rows_whose_queries_differ_go_in_blocks(monkeypatch):
    """While texts are generated; flex would need a kernel for each length."""
    monkeypatch.setattr(flex, "attend", lambda *args: pytest.fail("FlexAttention was asked"))
    query, key, value = inputs(4, 4)
    index = torch.tensor([[LENGTH - 1], [60]])
    found = core("causal", kernel="flex")(query[:1], key, value, None, attention_bias=Tokens(index, LENGTH))
    expected = core("causal")(query[:1], key, value, None, attention_bias=Tokens(index, LENGTH))
    torch.testing.assert_close(found, expected)


def test_a_block_that_nobody_sees_is_not_computed():
    """Of 8 × 8 blocks, a window that is no longer than a block takes the diagonal and the one before: 15."""
    module = core("sliding_window", limits=Limits(window=128), kernel="flex")
    tokens = Tokens.whole(1024, "cpu")
    query, key, value = (torch.randn(1024, 1, 1, 16) for _ in range(3))
    module(query, key, value, None, attention_bias=tokens)
    (mask,) = tokens.block_masks.values()
    assert int(mask.kv_num_blocks.sum() + mask.full_kv_num_blocks.sum()) == 15


def test_other_documents_compile_nothing_anew(monkeypatch):
    """Mask and scores are closures over a batch's own tensors: a kernel each batch would be minutes of compiling."""
    monkeypatch.setattr(torchs, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", False)
    torch._dynamo.reset()
    counted = torch._dynamo.testing.CompileCounter()
    for name in ("create_block_mask", "flex_attention"):
        monkeypatch.setattr(flex, name, torch.compile(getattr(flex, name), backend=counted))
    bias, tensors = bias_of(6), inputs(6, 2)
    layers = [core(pattern, 2.0, bias, LIMITS, kernel="flex") for pattern in ("sliding_window", "causal")]
    for batch in range(3):
        documents = torch.randint(0, 2, (2, LENGTH)).cumsum(1)
        for layer in layers:
            layer(*tensors, None, attention_bias=Tokens.whole(LENGTH, "cpu", documents))
        if batch == 0:
            first = counted.frame_count
    assert first == counted.frame_count == 4  # mask and kernel, for each of two patterns


def test_keys_of_other_processes_are_let_go_until_backward(monkeypatch):
    """As context parallelism asks: what `made_again` holds is kept neither by FlexAttention nor by what compiles it."""
    monkeypatch.setattr(torchs, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", False)
    monkeypatch.setattr(torchs, "_validate_device", lambda *tensors: None)
    torch._dynamo.reset()
    monkeypatch.setattr(flex, "flex_attention", torch.compile(flex.flex_attention, backend="aot_eager"))
    query, own, _ = inputs(4, 4, grad=True)
    module, again = core("sliding_window", limits=LIMITS, kernel="flex"), []
    found = module(query, own, own, None)
    expected = torch.autograd.grad(found.square().sum(), (query, own))

    def gathered(key, value):
        whole, kept = key * 1.0, key.detach()
        again.append(StorageWeakRef(whole.untyped_storage()))
        return (whole, whole), Again(whole, lambda: kept * 1.0)

    monkeypatch.setattr(core_module, "gathered", gathered)
    module.spread = True
    found = module(query, own, own, None)
    assert again[0].expired()
    for a, b in zip(torch.autograd.grad(found.square().sum(), (query, own)), expected, strict=True):
        torch.testing.assert_close(a, b)
