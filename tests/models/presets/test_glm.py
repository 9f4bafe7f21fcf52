"""GLM-130B, small, on packed documents with blanks, equals a naive model written from its paper: logits, loss, gradients.

SwissArmyTransformer 0.4.12, which the released weights run on, gives the naive model's logits to 3e-6 (its GLM130B with its
CUDA calls stood in for; it imports too many packages to be run here).
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

from megatron_ext.objectives import blank_infilling
from megatron_ext.objectives.reading import decoder
from megatron_ext.objectives.reading.draws import Draws
from megatron_ext.objectives.reading.pairs import NO_LABEL
from tests.objectives.made import control, setting, tokenizer
from tests.parity.reference import interleave, of_batch

LAYERS, HIDDEN, HEADS, FFN, LENGTH = 3, 48, 6, 80, 96
ARGV = (
    f"--preset glm-130b --num-layers {LAYERS} --hidden-size {HIDDEN} --num-attention-heads {HEADS} --ffn-hidden-size {FFN} "
    f"--seq-length {LENGTH} --deepnorm-alpha {(2 * LAYERS) ** 0.5} --deepnorm-beta {(2 * LAYERS) ** -0.5} --tokenizer-type null"
).split()
MASK, GMASK, SOP = (control(name) for name in ("[MASK]", "[gMASK]", "<sop>"))
# Where documents begin and how long they are: a token tells by its number which one stands before it.
DOCUMENTS = [[(150, 30), (200, 22), (300, 40)], [(400, 50), (500, 34)]]


class Naive(torch.nn.Module):
    """DeepNorm(x) = LayerNorm(α x + f(x)), from the normed embedding on; one document at a time, a mask of all pairs."""

    def __init__(self, entries: int):
        super().__init__()
        self.embedding = torch.nn.Embedding(entries, HIDDEN)
        sizes = dict(query=(HIDDEN, HIDDEN), key=(HIDDEN, HIDDEN), value=(HIDDEN, HIDDEN), output=(HIDDEN, HIDDEN),
                     gate=(HIDDEN, FFN), up=(HIDDEN, FFN), down=(FFN, HIDDEN))  # fmt: skip
        layer = lambda: torch.nn.ModuleDict({name: torch.nn.Linear(*size) for name, size in sizes.items()})
        self.layers = torch.nn.ModuleList(layer() for _ in range(LAYERS))
        self.norms = torch.nn.ModuleList(torch.nn.LayerNorm(HIDDEN, eps=1e-5) for _ in range(2 * LAYERS + 1))

    def forward(self, tokens, positions, seen):
        """tokens, positions `[s]`, seen bool `[s, s]` → logits `[s, entries]`."""
        alpha, norms = math.sqrt(2 * LAYERS), iter(self.norms)
        x = next(norms)(self.embedding(tokens))
        for layer in self.layers:
            x = next(norms)(alpha * x + self._attention(layer, x, positions, seen))
            mlp = layer["down"](functional.gelu(layer["gate"](x)) * layer["up"](x))
            x = next(norms)(alpha * x + mlp)
        return x @ self.embedding.weight.T

    def _attention(self, layer, x, positions, seen):
        query, key, value = (layer[name](x).view(len(x), HEADS, -1).transpose(0, 1) for name in ("query", "key", "value"))
        scores = turned(query, positions) @ turned(key, positions).transpose(1, 2) / math.sqrt(HIDDEN / HEADS)
        weights = scores.masked_fill(~seen, -math.inf).softmax(-1)
        return layer["output"]((weights @ value).transpose(0, 1).reshape(len(x), HIDDEN))


def turned(x, positions):
    """Channel i and i + d/2 as a complex number, times e^(i m θ), θ = 10000^(−2i/d)."""
    half = x.shape[-1] // 2
    angles = positions[:, None] * 10000.0 ** (-torch.arange(half) / half)
    found = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([found.real, found.imag], dim=-1)


def places_and_mask(pair) -> tuple[list[int], torch.Tensor]:
    """The paper's positions, and who sees whom: A sees A, B sees A and what stands before it in B."""
    given, fed = pair.inputs.tolist(), pair.fed.tolist()
    places, begins = list(range(len(given))), [*np.flatnonzero(pair.fed == SOP), len(fed)]
    for begin, end in zip(begins, begins[1:]):
        before = fed[begin + 1] - 1  # the token that stands before the span
        at_mask = given.index(before) + 1 if before in given else 0
        places += range(len(given), len(given) + end - begin) if GMASK in given else [at_mask] * (end - begin)
    size = len(given) + len(fed)
    seen = [[key < len(given) or (query >= len(given) and key <= query) for key in range(size)] for query in range(size)]
    return places, torch.tensor(seen)


def made() -> tuple[list[list], dict[str, torch.Tensor]]:
    """Pairs of [MASK] and of [gMASK], and the batch that they are packed into."""
    packing = decoder.Packing(SimpleNamespace(seq_length=LENGTH, architecture="prefix_decoder"), tokenizer().eod)
    rows, samples = [], []
    for row, documents in enumerate(DOCUMENTS):
        pairs = []
        for number, (first, length) in enumerate(documents):
            choose, draws = blank_infilling.Pairs(setting("blank_infilling", gmask_rate=number % 2)), Draws(3, row, number)
            pairs.append(choose.choose(draws)(np.append(np.arange(first, first + length), tokenizer().eod), draws))
        rows.append(pairs)
        samples.append(packing(pairs, Draws(0)))
    assert all(GMASK in pairs[1].inputs and MASK in pairs[0].inputs for pairs in rows)
    assert max((pair.inputs == MASK).sum() for pairs in rows for pair in pairs) > 1
    return rows, {name: torch.from_numpy(np.stack([sample[name] for sample in samples])) for name in samples[0]}


def ours(model, tensor) -> dict[str, torch.Tensor]:
    """The naive model's weights, or by `tensor` what belongs to them, under our names."""
    found = {"embedding.word_embeddings.weight": tensor(model.embedding.weight)}
    for kind in ("weight", "bias"):
        of = lambda module, kind=kind: tensor(getattr(module, kind))
        found[f"decoder.final_layernorm.{kind}"] = of(model.norms[-1])
        for number, layer in enumerate(model.layers):
            name = f"decoder.layers.{number}."
            found |= {
                f"{name}input_layernorm.{kind}": of(model.norms[2 * number]),
                f"{name}pre_mlp_layernorm.{kind}": of(model.norms[2 * number + 1]),
                f"{name}self_attention.linear_qkv.{kind}": interleave(
                    *map(of, (layer["query"], layer["key"], layer["value"])), HEADS
                ),
                f"{name}self_attention.linear_proj.{kind}": of(layer["output"]),
                f"{name}mlp.linear_fc1.{kind}": torch.cat([of(layer["gate"]), of(layer["up"])]),
                f"{name}mlp.linear_fc2.{kind}": of(layer["down"]),
            }
    return found


def read_one_by_one(model, rows) -> tuple[list[torch.Tensor], torch.Tensor]:
    """`(logits of each document's tokens, labels of all)`. The last document of a sample is cut to fit."""
    logits, labels = [], []
    for pairs in rows:
        room = LENGTH
        for pair in pairs:
            places, seen = places_and_mask(pair)
            tokens = np.concatenate([pair.inputs, pair.fed])[:room]
            logits.append(model(torch.from_numpy(tokens), torch.tensor(places)[:room], seen[:room, :room]))
            labels.append(np.concatenate([np.full(len(pair.inputs), NO_LABEL), pair.labels])[:room])
            room -= len(tokens)
    return logits, torch.from_numpy(np.concatenate(labels))


@pytest.mark.compares(
    "GLM-130B written from its paper", within="1e-5", norm_placement=["deepnorm"], architecture=["prefix_decoder"],
    position_embedding_type=["rope"], activation=["geglu"], deepnorm_alpha=True, apply_residual_connection_post_layernorm=True,
)  # fmt: skip
def test_it_is_the_papers_model(pool):
    torch.manual_seed(0)
    rows, batch = made()
    model = Naive(entries := tokenizer().vocab_size)
    with torch.no_grad():
        model.embedding.weight /= 10  # logits of some units
        for parameter in model.parameters():  # norms too
            parameter.add_(0.05 * torch.randn_like(parameter))
    logits, labels = read_one_by_one(model, rows)
    loss = functional.cross_entropy(torch.cat(logits), labels, ignore_index=NO_LABEL)
    loss.backward()
    argv = [*ARGV, "--vocab-size", str(entries), "--make-vocab-size-divisible-by", "1"]
    ((found, our_loss, gradients),) = pool.run(of_batch, 1, argv, ours(model, lambda weight: weight.detach()), batch)
    of_documents = torch.stack([row < len(pairs) for row, pairs in zip(batch["documents"], rows, strict=True)])
    assert (found[of_documents] - torch.cat(logits)).abs().max() <= 1e-5
    assert our_loss == pytest.approx(loss.item(), rel=1e-6)
    expected = ours(model, lambda weight: weight.grad)
    whole = torch.cat([gradient.flatten() for gradient in expected.values()]).norm()
    for name, gradient in expected.items():
        assert (gradients[name] - gradient).norm() <= 1e-4 * max(gradient.norm(), 1e-3 * whole), name
