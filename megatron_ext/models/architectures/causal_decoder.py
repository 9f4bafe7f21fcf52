"""One stack of layers in which a token sees itself and those before it (GPT; arXiv:2005.14165).
`--architecture causal-decoder`
"""

from __future__ import annotations

PATTERNS = ("causal", "sliding_window")


def resolve(c):
    pass


def check(c):
    yield from ()


def model():
    from megatron_ext.models.gpt import GPT

    return GPT
