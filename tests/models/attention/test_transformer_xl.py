"""Transformer-XL's attention against the paper's formulas, written out and read segment by segment; and what it keeps."""

from __future__ import annotations

import math
import os
import pathlib
import subprocess
import sys

import pytest
import torch

from megatron_ext.models.attention import transformer_xl
from megatron_ext.models.attention.tokens import Tokens

BASE = ("--preset tiny --mock-data --vocab-size 100 --train-iters 1 --device cpu --seq-length 17 --num-layers 3 "
        "--position-embedding-type transformer_xl")  # fmt: skip
DOCUMENTS = torch.tensor([[0] * 2 + [1] * 11 + [2] * 4, [0] * 17])


def distance_vector(m: int, width: int) -> torch.Tensor:
    angles = [m / 10000 ** (2 * c / width) for c in range(width // 2)]
    return torch.tensor([*map(math.sin, angles), *map(math.cos, angles)])


def attention(layer, x, memory, config):
    """`[n, h]` of a segment whose memory is `[m, h]`: a loop over heads and queries."""
    self, width, heads = layer.self_attention, config.kv_channels, config.num_attention_heads
    groups = config.num_query_groups
    share = heads // groups
    projection = self.linear_qkv.weight.view(groups, share + 2, width, -1)
    bias = torch.zeros(groups, share + 2, width) if self.linear_qkv.bias is None else self.linear_qkv.bias.view(groups, -1, width)
    u, v = (bias.view(heads, width) for bias in (self.core_attention.u, self.core_attention.v))
    norm_q, norm_k = (norm or (lambda head: head) for norm in (self.q_layernorm, self.k_layernorm))
    seen, outputs = torch.cat([memory, x]), []
    for head in range(heads):
        rows, own, shift = projection[head // share], head % share, bias[head // share]
        q, k = norm_q(x @ rows[own].T + shift[own]), norm_k(seen @ rows[-2].T + shift[-2])
        value = seen @ rows[-1].T + shift[-1]
        of_distance = self.linear_r.weight.view(heads, width, -1)[head]
        found = []
        for i in range(len(x)):
            last = len(memory) + i  # the place of the query among the keys
            far = torch.stack([of_distance @ distance_vector(last - j, x.shape[1]) for j in range(last + 1)])
            scores = k[: last + 1] @ (q[i] + u[head]) + far @ (q[i] + v[head])
            scores = scores * (config.softmax_scale or 1 / math.sqrt(width))
            cap = config.attention_logit_cap
            scores = cap * torch.tanh(scores / cap) if cap else scores
            found.append(scores.softmax(-1) @ value[: last + 1])
        outputs.append(torch.stack(found))
    return torch.cat(outputs, dim=1) @ self.linear_proj.weight.T


def written_out(layers, text, config):
    """`[s, h]` → `[s, h]` of one text: segment by segment, each layer's memory the inputs that it had before, detached."""
    memories, outputs = [text.new_zeros(0, text.shape[1]) for _ in layers], []
    for x in text.split(config.segment_length):
        for number, layer in enumerate(layers):
            memory = memories[number].detach()
            read = torch.cat([memory, x])
            memories[number] = read[max(len(read) - config.memory_length, 0) :]
            n1, n2 = layer.input_layernorm, layer.pre_mlp_layernorm
            if config.norm_placement == "post":
                x = layer.post_self_attn_layernorm(x + attention(layer, x, memory, config))
                x = layer.post_mlp_layernorm(x + layer.mlp(x[:, None])[0][:, 0])
            elif config.parallel_residual:
                x = x + attention(layer, n1(x), n1(memory), config) + layer.mlp(n2(x)[:, None])[0][:, 0]
            else:
                x = x + attention(layer, n1(x), n1(memory), config)
                x = x + layer.mlp(n2(x)[:, None])[0][:, 0]
        outputs.append(x)
    return torch.cat(outputs)


def compared(launch, argv, documents, block):
    """`(output, gradients)` of ours and of what is written out, and parameters counted and there."""
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    config = read_configuration([*BASE.split(), *argv], launch.world_size)
    with processes(launch, config), pytest.MonkeyPatch.context() as patch:
        from megatron_ext.models import gpt
        from megatron_ext.models.config import model_config
        from megatron_ext.planner.parameters import count

        patch.setattr(transformer_xl, "QUERIES", block)
        core = model_config(config, 100, "local")
        model = gpt.build(config.model, core, seed=1)[0].eval()
        layers = model.decoder.layers
        torch.manual_seed(0)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        weights = torch.randn(17, 2, core.hidden_size)
        tokens = None if documents is None else Tokens.whole(17, "cpu", documents)

        def ours(x):
            for layer in layers:
                x, _ = layer(hidden_states=x, attention_mask=None, attention_bias=tokens)
            return x

        def theirs(x):
            rows = []
            for row in range(2):
                lengths = [17] if documents is None else documents[row].bincount().tolist()
                rows.append(torch.cat([written_out(layers, text, core) for text in x[:, row].split(lengths)]))
            return torch.stack(rows, dim=1)

        results = []
        for run in (ours, theirs):
            x = torch.randn(17, 2, core.hidden_size, generator=torch.Generator().manual_seed(1)).requires_grad_()
            model.zero_grad()
            output = run(x)
            (output * weights).sum().backward()
            gradients = {name: parameter.grad.clone() for name, parameter in layers.named_parameters()}
            results.append((output.detach(), gradients | {"input": x.grad}))
        there = sum(parameter.numel() for parameter in model.parameters())
        return results, count(config.model, 128).total, there


FORMS = {
    "memory beyond a segment": "--segment-length 4 --memory-length 6",
    "memory within a segment": "--segment-length 5 --memory-length 2 --norm-placement post",
    "no memory": "--segment-length 6 --memory-length 0",
    "one segment": "--segment-length 17 --memory-length 5",
    "by default": "--parallel-residual",
    "grouped queries, capped, scaled": (
        "--segment-length 3 --memory-length 5 --num-query-groups 2 --attn-logit-softcapping 2 --softmax-scale 0.5"
    ),
    "one key for all, norms of heads, biases": (
        "--segment-length 5 --memory-length 5 --num-query-groups 1 --qk-layernorm --kv-channels 12 --add-qkv-bias"
    ),
}


@pytest.mark.parametrize("documents", [None, DOCUMENTS], ids=["one document", "three"])
@pytest.mark.parametrize("form", FORMS)
def test_equals_what_is_written_out(form, documents, pool):
    block = 2 if "memory" in form else 128
    ((results, counted, there),) = pool.run(compared, 1, FORMS[form].split(), documents, block)
    (ours, our_gradients), (theirs, their_gradients) = results
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    norm = torch.cat([gradient.flatten() for gradient in their_gradients.values()]).norm()
    for name, gradient in their_gradients.items():
        assert (our_gradients[name] - gradient).norm() <= 1e-5 * max(gradient.norm(), 1e-2 * norm), name
    assert counted == there


def changed(launch, argv, documents):
    """`[s, s]` for each row: whether output i changes with input j."""
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    config = read_configuration([*BASE.split(), *argv], launch.world_size)
    with processes(launch, config), torch.no_grad():
        from megatron_ext.models import gpt
        from megatron_ext.models.config import model_config

        model = gpt.build(config.model, model_config(config, 100, "local"), seed=1)[0].eval()
        for parameter in model.parameters():
            parameter.mul_(4 if parameter.dim() > 1 else 1)  # so that what is seen shows
        tokens = None if documents is None else Tokens.whole(17, "cpu", documents)

        def output(x):
            for layer in model.decoder.layers:
                x, _ = layer(hidden_states=x, attention_mask=None, attention_bias=tokens)
            return x

        torch.manual_seed(0)
        x = torch.randn(17, 2, config.model.hidden_size)
        found, before = torch.zeros(2, 17, 17, dtype=torch.bool), output(x)
        for j in range(17):
            other = x.clone()
            other[j] = torch.randn_like(other[j])
            found[:, :, j] = ((output(other) - before).abs().amax(-1) > 1e-6).T
        return found


@pytest.mark.parametrize("documents", [None, DOCUMENTS], ids=["one document", "three"])
@pytest.mark.parametrize(("layers", "segment", "memory"), [(1, 5, 3), (1, 3, 7), (3, 4, 2), (2, 3, 4), (2, 6, 0)])
def test_nothing_is_seen_beyond_the_memory(layers, segment, memory, documents, pool):
    """Over layers, what each of them shows is composed; and all of that is seen."""
    shown = torch.zeros(2, 17, 17)
    for row in range(2):
        own = torch.zeros(17) if documents is None else documents[row]
        for i in range(17):
            start = int((own == own[i]).nonzero()[0])
            border = start + (i - start) // segment * segment
            shown[row, i, max(start, border - memory) : i + 1] = 1
    argv = f"--num-layers {layers} --segment-length {segment} --memory-length {memory}".split()
    found = pool.run(changed, 1, argv, documents)[0]
    assert torch.equal(found, torch.linalg.matrix_power(shown, layers) > 0)


def core(heads: int, width: int, segment: int, memory: int) -> transformer_xl.CoreAttention:
    """A core by itself, without a model's configuration."""
    module = transformer_xl.CoreAttention.__new__(transformer_xl.CoreAttention)
    torch.nn.Module.__init__(module)
    module.dropout, module.softmax_scale, module.cap, module.segment, module.memory = 0.0, None, None, segment, memory
    module.u, module.v = (torch.nn.Parameter(torch.randn(heads * width)) for _ in range(2))
    return module


def drawn(length: int, heads: int = 4, groups: int = 2, width: int = 5, span: int = 8):
    query, key, value = (torch.randn(length, 2, number, width) for number in (heads, groups, groups))
    return query, transformer_xl.Keys(key, key, torch.randn(span, heads, width)), transformer_xl.Values(value, value)


def test_a_token_more_sees_what_the_whole_text_shows():
    """While texts of different lengths are generated, a row's keys beyond its own token are another text's padding."""
    torch.manual_seed(0)
    query, key, value = drawn(14)
    module = core(4, 5, segment=3, memory=5)
    whole = module(query, key, value, None)
    for lengths in ((14, 4), (7, 6), (1, 12)):
        index = torch.tensor(lengths) - 1
        keys, values = key.own.clone(), value.own.clone()
        for row in range(2):
            keys[lengths[row] :, row] = values[lengths[row] :, row] = 1e6
        keys, values = keys[: max(lengths)], values[: max(lengths)]
        found = module(
            query[index, torch.arange(2)][None],
            transformer_xl.Keys(keys, keys, key.distances),
            transformer_xl.Values(values, values),
            None,
            attention_bias=Tokens(index[:, None], max(lengths)),
        )
        torch.testing.assert_close(found[0], whole[index, torch.arange(2)])


@pytest.mark.parametrize("documents", [None, torch.tensor([[0] * 7 + [1] * 9, [0] * 16])], ids=["one document", "two"])
def test_two_runs_of_queries_see_what_one_does(documents):
    """As context parallelism cuts a sample: the second and the third quarter of four, the first and the last."""
    torch.manual_seed(0)
    query, key, value = drawn(16)
    module = core(4, 5, segment=3, memory=5)
    whole = module(query, key, value, None, attention_bias=Tokens.whole(16, "cpu", documents))
    for index in ([*range(4), *range(12, 16)], [*range(4, 12)]):
        index = torch.tensor(index)
        tokens = Tokens(index, 16, documents, runs=(4, 4))
        torch.testing.assert_close(module(query[index], key, value, None, attention_bias=tokens), whole[index])


def test_cores_of_other_segments_share_no_cut():
    torch.manual_seed(0)
    query, key, value = drawn(16, span=16)
    tokens = Tokens(torch.arange(16), 16)
    module = core(4, 5, segment=3, memory=5)
    module(query, key, value, None, attention_bias=tokens)
    module.segment, module.memory = 8, 0
    found = module(query, key, value, None, attention_bias=tokens)
    torch.testing.assert_close(found, module(query, key, value, None, attention_bias=Tokens(torch.arange(16), 16)))


# Forward and backward at three lengths in a process of its own, whose peak is read after each.
MEASURE = """
import resource, sys, torch
sys.path.insert(0, {root!r})
from tests.models.attention.test_transformer_xl import core, transformer_xl
torch.set_num_threads(1)
peaks, module = [], core(2, 16, 512, 512)
for length in (256, 4096, 8192):
    query, key, value, *memory = (torch.randn(length, 1, 2, 16, requires_grad=True) for _ in range(5))
    distances = torch.randn(min(1024, length), 2, 16, requires_grad=True)
    keys, values = transformer_xl.Keys(key, memory[0], distances), transformer_xl.Values(value, memory[1])
    module(query, keys, values, None).sum().backward()
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(*peaks)
"""


def test_memory_grows_linearly():
    """At 8,192 tokens, scores of two heads would take 512 MB; at 4,096 a quarter of it."""
    root = str(pathlib.Path(__file__).resolve().parents[3])
    environ = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}  # what is freed goes back at once
    done = subprocess.run([sys.executable, "-c", MEASURE.format(root=root)], capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stderr
    _, middle, long = map(float, done.stdout.split())
    assert long - middle <= 25, done.stdout
