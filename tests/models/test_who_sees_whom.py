"""Changing token j changes the outputs that L layers' patterns, composed, let it reach, and no other: all patterns and positions,
latent attention too.

What a pattern shows is written out here once more, key by key. transformer_xl, whose memory has no other patterns, has the same
test of its own (attention/test_transformer_xl.py).
"""

from __future__ import annotations

import pytest
import torch

from megatron_ext.arguments.registry import Registry
from megatron_ext.models.attention.tokens import Tokens, positions_of

LENGTH, LAYERS, WINDOW, PREFIX = 19, 3, 4, 5
POSITIONS = sorted(set(Registry("megatron_ext.models.positions")) - {"transformer_xl"})
MODELS = {position: f"--position-embedding-type {position}" for position in POSITIONS}
MODELS["latent attention"] = "--num-query-groups 4 --multi-latent-attention --kv-lora-rank 24"
PATTERNS = [("causal",), ("full",), ("prefix",), ("sliding_window",), ("sliding_window", "causal"),
            ("prefix", "sliding_window", "sliding_window")]  # fmt: skip
PACKED = torch.tensor([0] * 6 + [1] + [2] * 8 + [3] * 4)
SHOWS = {
    "causal": lambda i, j: j <= i,
    "full": lambda i, j: True,
    "prefix": lambda i, j: j <= i or j < PREFIX,
    "sliding_window": lambda i, j: i - WINDOW < j <= i,
}


def reached(patterns, documents) -> torch.Tensor:
    """`[s, s]`: whether token j reaches output i through all layers."""
    through = torch.eye(LENGTH)
    for layer in range(LAYERS):
        shows = SHOWS[patterns[layer % len(patterns)]]
        through = (
            torch.tensor([[float(shows(i, j) and documents[i] == documents[j]) for j in range(LENGTH)] for i in range(LENGTH)])
            @ through
        )
    return through > 0


def changed(launch, model: str):
    """For each of PATTERNS, apart and packed: `[s, s]`, whether output i changes with token j."""
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    argv = f"--preset tiny --num-layers {LAYERS} --mock-data --vocab-size 100 --train-iters 1 --device cpu --seq-length {LENGTH}"
    config = read_configuration([*argv.split(), *MODELS[model].split()], launch.world_size)
    found = {}
    with processes(launch, config), torch.no_grad():
        from megatron_ext.models import gpt
        from megatron_ext.models.config import model_config

        for patterns in PATTERNS:
            for packed in (False, True):
                core = model_config(config, 100, "local")
                core.attention = core.attention._replace(patterns=patterns, documents=packed)
                core.sliding_window, core.positions_by_document = WINDOW, packed
                model = gpt.build(config.model, core, seed=1)[0].eval()
                for parameter in model.parameters():
                    parameter.mul_(5 if parameter.dim() > 1 else 1)  # so that what is seen shows
                found[patterns, packed] = _changed(model, PACKED[None] if packed else None)
    return found


def _changed(model, documents) -> torch.Tensor:
    text = torch.randint(100, (1, LENGTH), generator=torch.Generator().manual_seed(0)).repeat(LENGTH + 1, 1)
    text[range(1, LENGTH + 1), range(LENGTH)] = (text[0] + 50) % 100  # row j + 1 differs in token j
    places, prefix = torch.arange(LENGTH).expand_as(text), (torch.arange(LENGTH) < PREFIX).expand_as(text)
    if documents is not None:
        documents = documents.expand_as(text)
        places = positions_of(documents)
    tokens = Tokens.whole(LENGTH, text.device, documents, prefix)
    logits = model(text, places, None, extra_block_kwargs={"attention_bias": tokens})
    return ((logits[1:] - logits[:1]).abs().amax(-1) > 1e-4).T


@pytest.mark.compares("which logits each token changes, written out", within="1e-4", architecture=["prefix_decoder"])
@pytest.mark.parametrize("model", MODELS)
def test_what_is_changed_is_what_is_shown(model, pool):
    (found,) = pool.run(changed, 1, model)
    for (patterns, packed), seen in found.items():
        shown = reached(patterns, PACKED if packed else torch.zeros(LENGTH))
        assert torch.equal(seen, shown), (
            f"{' '.join(patterns)}{', packed' if packed else ''}: {(seen != shown).nonzero().tolist()}"
        )
