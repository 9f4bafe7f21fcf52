"""Each token sees itself and the W − 1 before it (arXiv:2004.05150, section 3.1; Mistral 7B, arXiv:2310.06825).
`--attention-pattern sliding_window --sliding-window W`

Over L layers information travels L · (W − 1) tokens. W counts as Hugging Face's `sliding_window` does; Megatron-LM's
`--window-size L,0` counts the tokens before, L = W − 1.
"""

from __future__ import annotations


def visible(query, key, limits, prefix):
    return (key <= query) & (query - key < limits.window)


def reach(first: int, last: int, keys: int, limits, prefix) -> tuple[int, int]:
    return max(first - limits.window + 1, 0), min(last + 1, keys)
