"""Generation, token by token, on one process: the whole text goes through the model for each new token."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from megatron_ext.inference.sampling import next_token


@torch.no_grad()
def generate(model, tokens: list[int], flags, end: int, window: int, device) -> Iterator[int]:
    """New token ids, one at a time, until `end` (not yielded) or `--max-new-tokens`.

    Args:
        model: a whole GPT on this process.
        tokens: the prompt's ids; empty prompts start from `end`, the token that ends a document.
        window: tokens the model has positions for; of longer texts it sees the last ones.
    """
    generator = torch.Generator().manual_seed(flags.seed)
    text = list(tokens) or [end]
    for _ in range(flags.max_new_tokens):
        token = next_token(next_logits(model, text[-window:], device), flags.temperature, flags.top_k, flags.top_p, generator)
        if token == end:
            return
        text.append(token)
        yield token


def next_logits(model, tokens: list[int], device) -> torch.Tensor:
    """fp32 logits of the token after `tokens`, over the real vocabulary, on the CPU: `[vocabulary]`."""
    ids = torch.tensor([tokens], device=device)
    logits = model(ids, torch.arange(len(tokens), device=device)[None], None)
    return logits[0, -1, : model.config.vocab_size].float().cpu()
