"""On CUDA: compiled FlexAttention equals blocks of queries, forward and backward, and holds no S×S; kernels asked for by name."""

from __future__ import annotations

import itertools

import pytest
import torch

from megatron_ext.models.attention.core import PATTERNS
from megatron_ext.models.attention.tokens import Tokens, _alone
from megatron_ext.models.positions import alibi
from tests.models.attention.cores import Limits, core

pytestmark = pytest.mark.gpu
DEVICE, LIMITS = "cuda", Limits(window=200)


@pytest.fixture(autouse=True)
def compiled_anew():
    torch._dynamo.reset()  # each case is a model of its own, and torch ends recompiling after eight
    _alone.cache_clear()


def inputs(length: int, heads: int, groups: int, dtype=torch.float32, width: int = 64):
    torch.manual_seed(0)
    shapes = ((length, 2, heads, width), (length, 2, groups, width), (length, 2, groups, width))
    return [torch.randn(shape, device=DEVICE, dtype=dtype, requires_grad=True) for shape in shapes]


def bias_of(heads: int):
    slopes = alibi.slopes(heads).to(DEVICE)
    return lambda query, key: -slopes[:, None, None] * (query - key).abs().float().unsqueeze(-3)


def documents_of(length: int) -> torch.Tensor:
    index = torch.arange(length, device=DEVICE)
    return torch.stack([index // 170, index // length])


def prefix_of(length: int) -> torch.Tensor:
    return (torch.arange(length, device=DEVICE) % 170 < 60).expand(2, -1)


def output_and_gradients(module, tensors, tokens):
    output = module(*tensors, None, attention_bias=tokens)
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(1)).to(output)
    return [output.detach(), *torch.autograd.grad((output * weights).sum(), tensors)]


CASES = list(itertools.product(PATTERNS, (False, True), (None, 2.0), (False, True)))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("length", [512, 300], ids=["whole blocks", "parts of blocks"])
@pytest.mark.parametrize(("pattern", "biased", "cap", "packed"), CASES)
def test_flex_equals_blocks(pattern, biased, cap, packed, length):
    heads, groups = (6, 2) if packed else (4, 4)
    tensors, bias = inputs(length, heads, groups), bias_of(heads) if biased else None
    tokens = Tokens.whole(length, torch.device(DEVICE), documents_of(length) if packed else None, prefix_of(length))
    found = output_and_gradients(core(pattern, cap, bias, LIMITS, kernel="flex"), tensors, tokens)
    expected = output_and_gradients(core(pattern, cap, bias, LIMITS, kernel="scores" if cap else "blocks"), tensors, tokens)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kernel", ["flex", "blocks"])
def test_bf16_is_near_fp32(kernel):
    """Blocks too: kernels on CUDA take a mask in the type of the queries alone."""
    bias, tokens = bias_of(6), Tokens.whole(512, torch.device(DEVICE), documents_of(512))
    found = output_and_gradients(core("causal", None, bias, LIMITS, kernel=kernel), inputs(512, 6, 2, torch.bfloat16), tokens)
    expected = output_and_gradients(core("causal", None, bias, LIMITS, kernel="blocks"), inputs(512, 6, 2), tokens)
    for a, b in zip(found, expected, strict=True):
        assert (a.float() - b).norm() <= 0.02 * b.norm()


def peak(kind: str, length: int) -> float:
    """MiB that one forward and backward pass takes besides its inputs."""
    documents = torch.arange(length, device=DEVICE)[None] // 700 if kind == "documents" else None
    module = core("sliding_window" if kind == "window" else "causal", 3.0 if kind == "capped" else None,
                  bias_of(2) if kind == "bias" else None, Limits(window=2000), kernel="flex")  # fmt: skip
    tensors = [torch.randn(length, 1, 2, 64, device=DEVICE, dtype=torch.bfloat16, requires_grad=True) for _ in range(3)]
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    module(*tensors, None, attention_bias=Tokens.whole(length, torch.device(DEVICE), documents)).sum().backward()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["window", "bias", "documents", "capped"])
def test_memory_grows_linearly(kind):
    """At 16,384 tokens scores of two heads would take 1 GiB in bf16, and a mask alone 256 MiB."""
    short, long = (min(peak(kind, length) for _ in range(2)) for length in (8192, 16384))
    assert long <= 2.5 * short + 8, (short, long)


@pytest.mark.parametrize(("backend", "serves"), [("flash", False), ("fused", True)])
def test_which_kernel_of_torch_takes_a_mask(backend, serves):
    """What the validator says of `--attention-backend` flash and fused with a mask."""
    from torch.nn.attention import sdpa_kernel

    from megatron_ext.models.attention.core import KERNELS, AttnBackend

    module, tensors = core("sliding_window", limits=LIMITS, kernel="blocks"), inputs(512, 4, 4, torch.bfloat16)
    with sdpa_kernel(KERNELS[AttnBackend[backend]]):
        if serves:
            module(*tensors, None).sum().backward()
        else:
            with pytest.raises(RuntimeError):
                module(*tensors, None)


def test_the_summary_names_what_runs_here():
    from megatron_ext.models.attention.summary import summary
    from tests.models.attention.test_backend import core as config

    found = summary(config("--bf16 --attention-pattern sliding_window causal --sliding-window 5"), 2, 64, torch.device(DEVICE))
    first, second = found.split("; ")
    assert first == "sliding_window: torch FlexAttention" and second.startswith("causal: torch SDPA, ")
