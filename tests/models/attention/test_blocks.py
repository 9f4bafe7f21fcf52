"""Patterns, documents and caps in blocks of queries, against scores written out, forward and backward; and what they keep."""

from __future__ import annotations

import math
import os
import pathlib
import subprocess
import sys

import pytest
import torch

from megatron_ext.models.attention import blocks
from megatron_ext.models.attention.core import PATTERNS
from megatron_ext.models.attention.tokens import Tokens, documents_of, positions_of
from tests.models.attention.cores import LIMITS, core


def sees(pattern: str, query: int, key: int, prefix) -> bool:
    """Word for word what the patterns promise."""
    return {
        "causal": key <= query,
        "full": True,
        "prefix": key <= query or bool(prefix[key]),
        "sliding_window": query - LIMITS.window < key <= query,
    }[pattern]


def naive(query, key, value, pattern, documents=None, cap=None, bias=None):
    """A loop over rows, heads and queries; `[s, b, heads, d]`."""
    length, rows, heads, width = query.shape
    share = heads // key.shape[2]
    found = torch.zeros_like(query)
    for row in range(rows):
        for head in range(heads):
            for q in range(length):
                shown = [
                    k for k in range(length)
                    if sees(pattern, q, k, PREFIX[row]) and (documents is None or documents[row, q] == documents[row, k])
                ]  # fmt: skip
                scores = key[shown, row, head // share] @ query[q, row, head] / math.sqrt(width)
                scores = cap * torch.tanh(scores / cap) if cap else scores
                scores = scores + bias[head, q, shown] if bias is not None else scores
                found[q, row, head] = scores.softmax(-1) @ value[shown, row, head // share]
    return found.flatten(2)


@pytest.fixture(params=[3, 4, 100])
def block_of(request, monkeypatch):
    """Queries in a block: that do not divide the length, that do, that are more."""
    monkeypatch.setattr(blocks, "QUERIES", request.param)


DOCUMENTS = torch.tensor([[0] * 3 + [1] * 6 + [2] * 3, [0] * 12])
PREFIX = torch.tensor([[1] + [0] * 2 + [1] * 4 + [0] * 2 + [1] * 3, [1] * 6 + [0] * 6]).bool()


@pytest.mark.compares("scores written out key by key, gradients too", within="1e-5", attention_pattern="pattern")
@pytest.mark.parametrize("documents", [None, DOCUMENTS], ids=["one document", "three"])
@pytest.mark.parametrize("cap", [None, 2.0], ids=["", "capped"])
@pytest.mark.parametrize("pattern", list(PATTERNS))
def test_equals_scores_written_out(pattern, cap, documents, block_of):
    torch.manual_seed(0)
    shapes = ((12, 2, 6, 5), (12, 2, 2, 5), (12, 2, 2, 5))
    ours = [torch.randn(shape, requires_grad=True) for shape in shapes]
    theirs = [tensor.detach().clone().requires_grad_() for tensor in ours]
    bias = torch.randn(6, 12, 12)
    module = core(pattern, cap, lambda query, key: bias[:, query, key])
    found = module(*ours, None, attention_bias=Tokens.whole(12, "cpu", documents, PREFIX))
    expected = naive(*theirs, pattern, documents, cap, bias)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    weights = torch.randn_like(expected)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pattern", ["causal", "sliding_window"])
def test_a_token_more_sees_what_the_whole_text_shows(pattern):
    """While texts of different lengths are generated, a row's keys beyond its own token are another text's padding."""
    torch.manual_seed(0)
    lengths = torch.tensor([7, 4])
    query, key, value = (torch.randn(7, 2, heads, 5) for heads in (4, 2, 2))
    module = core(pattern)
    expected = module(query, key, value, None)
    last = query[lengths - 1, torch.arange(2)][None]
    key[4:, 1] = value[4:, 1] = 1e6
    found = module(last, key, value, None, attention_bias=Tokens((lengths - 1)[:, None], 7))
    torch.testing.assert_close(found[0], expected[lengths - 1, torch.arange(2)])


def test_two_runs_of_queries_see_what_one_does():
    """As context parallelism cuts a sample: the first and the last quarter."""
    torch.manual_seed(0)
    query, key, value = (torch.randn(16, 2, 2, 5) for _ in range(3))
    index = torch.tensor([*range(4), *range(12, 16)])
    for pattern in PATTERNS:
        prefix = torch.arange(16).expand(2, -1) < torch.tensor([[6], [0]])
        tokens, all_tokens = Tokens(index, 16, runs=(4, 4), prefix=prefix), Tokens.whole(16, "cpu", prefix=prefix)
        part = core(pattern)(query[index], key, value, None, attention_bias=tokens)
        torch.testing.assert_close(part, core(pattern)(query, key, value, None, attention_bias=all_tokens)[index])


def test_documents_and_their_positions():
    ids = torch.tensor([[5, 9, 5, 5, 9, 9, 5], [9, 5, 5, 5, 5, 5, 9]])
    documents = documents_of(ids, eod=9)
    assert documents.tolist() == [[0, 0, 1, 1, 1, 2, 3], [0, 1, 1, 1, 1, 1, 1]]
    assert positions_of(documents).tolist() == [[0, 1, 0, 1, 2, 0, 0], [0, 0, 1, 2, 3, 4, 5]]


# Forward and backward at two lengths in a process of its own, whose peak is read after each.
MEASURE = """
import contextlib, resource, sys, torch
sys.path.insert(0, {root!r})
from types import SimpleNamespace
from megatron_ext.models.positions.t5_bias import Bias
from megatron_ext.models.attention import core as room
from tests.models.attention.cores import Limits, Tokens, core
torch.set_num_threads(1)
torch.cuda.current_device = lambda: "cpu"
peaks = []
for length in (256, {length} // 2, {length}):
    query, key, value = (torch.randn(length, 1, 2, 16, requires_grad=True) for _ in range(3))
    documents = torch.arange(length)[None] // 700 if {kind!r} == "documents" else None
    bias = (lambda query, key: -(query - key).float()[None]) if {kind!r} == "bias" else None
    cap = 3.0 if "capped" in {kind!r} else None
    module = core("sliding_window" if {kind!r} == "window" else "causal", cap, bias, Limits(window=2000))
    if {kind!r} == "dropout":
        module.dropout = 0.1
        room.tensor_parallel.get_cuda_rng_tracker = lambda: SimpleNamespace(fork=contextlib.nullcontext)  # one process
    if "learned" in {kind!r}:
        config = SimpleNamespace(relative_buckets=32, relative_max_distance=128, params_dtype=torch.float32, encoder_layers=0)
        module.bias, module.learns_bias = Bias(config, 0, 2), True
        torch.nn.init.normal_(module.bias.weight)
    tokens = None if {kind!r} == "plain" else Tokens.whole(length, "cpu", documents)
    module(query, key, value, None, attention_bias=tokens).sum().backward()
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(*peaks)
"""


MEASURED = [("plain", 8192), ("documents", 4096), ("learned, capped", 4096)]
MORE = [(kind, 4096) for kind in ("window", "bias", "capped", "learned", "dropout")]


@pytest.mark.parametrize(("kind", "length"), [*MEASURED, *(pytest.param(*case, marks=[pytest.mark.full]) for case in MORE)])
def test_memory_grows_linearly(kind, length):
    """At 8,192 tokens, scores of two heads would take 512 MB, a mask alone 256; at 4,096 a quarter of it."""
    root = str(pathlib.Path(__file__).resolve().parents[3])
    done = subprocess.run(
        [sys.executable, "-c", MEASURE.format(root=root, kind=kind, length=length)],
        capture_output=True,
        text=True,
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"},
    )  # what is freed goes back at once
    assert done.returncode == 0, done.stderr
    short, middle, long = map(float, done.stdout.split())
    assert long - middle <= 25, (short, middle, long)
