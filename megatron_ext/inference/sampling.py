"""Choosing the next token from logits: the likeliest, or one drawn; for a batch of texts at once, `[b, vocabulary]`, fp32.

In this order: repetition penalty θ (CTRL, arXiv:1909.05858: logits of tokens that the text has already are divided by θ; the
negative ones are multiplied, which is what makes them less likely), temperature T, top-k, top-p (nucleus, arXiv:1904.09751).
`--repetition-penalty --temperature --top-k --top-p`

A draw is the inverse of the cumulative distribution at one number u in [0, 1), which is a function of (seed, prompt, sample,
step): the same text comes out on any layout and in any company, up to rounding of the logits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch

NOT_FINITE = -1


def next_tokens(logits: torch.Tensor, texts: Sequence[Sequence[int]], uniforms: Sequence[float], flags) -> torch.Tensor:
    """Ids of the next tokens, `[b]`; NOT_FINITE for a row whose logits are not numbers.

    Args:
        logits: after each text, over the real vocabulary.
        texts: all ids of each text, prompt included.
        uniforms: a number in [0, 1) for each text.
    """
    broken = ~logits.isfinite().all(dim=-1)
    logits = penalise_repetition(logits, texts, flags.repetition_penalty)
    if flags.temperature == 0.0:
        tokens = logits.argmax(dim=-1)
    else:
        allowed = keep_top_p(keep_top_k(logits / flags.temperature, flags.top_k), flags.top_p)
        tokens = draw(allowed, torch.tensor(uniforms, dtype=torch.float64, device=logits.device))
    return tokens.masked_fill(broken, NOT_FINITE)


def penalise_repetition(logits: torch.Tensor, texts: Sequence[Sequence[int]], penalty: float) -> torch.Tensor:
    """Make what a text has said less likely to be said again; 1 changes nothing."""
    if penalty == 1.0:
        return logits
    logits = logits.clone()
    for row, text in zip(logits, texts):
        said = torch.tensor(text, device=logits.device).unique()
        row[said] = torch.where(row[said] < 0, row[said] * penalty, row[said] / penalty)
    return logits


def keep_top_k(logits: torch.Tensor, count: int) -> torch.Tensor:
    """−∞ below the k-th largest; 0 keeps all."""
    if not 0 < count < logits.shape[-1]:
        return logits
    return logits.masked_fill(logits < logits.topk(count).values[..., -1:], float("-inf"))


def keep_top_p(logits: torch.Tensor, share: float) -> torch.Tensor:
    """Keep the likeliest tokens until their probabilities reach `share`, the one that crosses it included.

    Summed from the unlikeliest up, where fp32 has digits to spare: those that together stay within 1 − share are left out.
    """
    if share >= 1.0:
        return logits
    ordered, order = logits.sort(dim=-1)
    left_out = ordered.softmax(dim=-1).cumsum(dim=-1) <= 1.0 - share
    left_out[..., -1] = False
    return logits.masked_fill(left_out.scatter(-1, order, left_out), float("-inf"))


def draw(logits: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """The token in whose stretch of the cumulative distribution u lies; never one of probability 0: `[b, v]`, `[b]` → `[b]`."""
    reached = logits.double().softmax(dim=-1).cumsum(dim=-1)
    total = reached[:, -1]
    target = torch.minimum(uniforms * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(reached, target[:, None], right=True)[:, 0]


def uniform(seed: int, prompt: int, sample: int, step: int) -> float:
    """A number in [0, 1), of 53 bits, that depends on the four alone."""
    digest = hashlib.blake2b(f"{seed}/{prompt}/{sample}/{step}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> 11) * 2.0**-53
