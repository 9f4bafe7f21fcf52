"""Transformer-XL of transformers 4.30.2, in a process of its own: later versions dropped it.

    PYTHONPATH=FOLDER_OF_THAT_VERSION python tests/parity/transformer_xl_reference.py WANTED.pt FOUND.pt

A sample goes through segment by segment, each with the memory that the one before left; gradients of the segments' losses add up.
"""

from __future__ import annotations

import sys

import torch

sys.modules["tokenizers"] = None  # a version that is too new for it, and that models do without
import transformers  # noqa: E402


def run(config: dict, tokens: torch.Tensor, segment: int, final_norm: bool) -> dict:
    """Logits `[b, s, v]`, the mean loss, weights (random ones) and gradients.

    Args:
        config: of TransfoXLConfig.
        tokens: `[b, s + 1]`.
        final_norm: add a norm after all layers, as models with norms before sublayers have.
    """
    config = transformers.TransfoXLConfig(
        div_val=1, cutoffs=[], same_length=False, clamp_len=-1, dropout=0.0, dropatt=0.0, untie_r=True, **config
    )
    torch.manual_seed(0)
    model = transformers.TransfoXLLMHeadModel(config)
    width = config.d_model
    model.final_norm = torch.nn.LayerNorm(width) if final_norm else torch.nn.Identity()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))  # norms and biases too
    ids, labels = tokens[:, :-1], tokens[:, 1:]
    memory = [torch.empty(0, len(ids), width)] * config.n_layer  # its own beginning are zeros, which would be attended to
    logits, total = [], 0.0
    for part, targets in zip(ids.split(segment, dim=1), labels.split(segment, dim=1), strict=True):
        found = model.transformer(part, mems=memory)
        memory = found.mems
        output = model.final_norm(found.last_hidden_state)
        logits.append(output @ model.transformer.word_emb.emb_layers[0].weight.T + model.crit.out_layers[0].bias)
        loss = torch.nn.functional.cross_entropy(logits[-1].flatten(0, 1), targets.flatten(), reduction="sum") / labels.numel()
        loss.backward()
        total += loss.item()
    parameters = dict(model.named_parameters())
    return {
        "logits": torch.cat(logits, dim=1).detach(),
        "loss": total,
        "weights": {name: parameter.detach() for name, parameter in parameters.items()},
        "gradients": {name: parameter.grad for name, parameter in parameters.items()},
    }


if __name__ == "__main__":
    torch.save({name: run(**wanted) for name, wanted in torch.load(sys.argv[1]).items()}, sys.argv[2])
