"""Choosing the next token from logits: greedy, or drawn with temperature, top-k and top-p (nucleus, arXiv:1904.09751)."""

from __future__ import annotations

import torch


def next_token(logits: torch.Tensor, temperature: float, top_k: int, top_p: float, generator: torch.Generator) -> int:
    """logits `[vocabulary]`, fp32 → a token id."""
    if temperature == 0.0:
        return int(logits.argmax())
    logits = logits / temperature
    if 0 < top_k < logits.numel():
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], float("-inf"))
    probabilities = logits.softmax(dim=-1)
    if top_p < 1.0:
        probabilities = _nucleus(probabilities, top_p)
    return int(torch.multinomial(probabilities, 1, generator=generator))


def _nucleus(probabilities: torch.Tensor, top_p: float) -> torch.Tensor:
    """Keep the likeliest tokens until their sum reaches `top_p`, the one that crosses it included."""
    ordered, order = probabilities.sort(descending=True)
    before = ordered.cumsum(dim=-1) - ordered
    kept = torch.where(before < top_p, ordered, torch.zeros_like(ordered))
    return torch.zeros_like(probabilities).scatter(0, order, kept)
