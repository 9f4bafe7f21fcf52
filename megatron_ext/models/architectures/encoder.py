"""One stack of layers in which each token sees all others (BERT, arXiv:1810.04805). `--architecture encoder`"""

from __future__ import annotations

PATTERNS = ("full",)


def resolve(c):
    pass


def check(c):
    yield from ()


def model():
    from megatron_ext.models.gpt import GPT

    return GPT
