"""One stack of layers in which the first tokens, a prefix, see each other both ways, and those after them see all before (UniLM,
arXiv:1905.03197; arXiv:1910.10683, figure 4). `--architecture prefix-decoder`
"""

from __future__ import annotations

from megatron_ext.models.architecture_flags import KNOWN_BOTH_WAYS, without

PATTERNS = ("prefix",)


def resolve(c):
    pass


def check(c):
    yield from without(c, (KNOWN_BOTH_WAYS,))


def model():
    from megatron_ext.models.gpt import GPT

    return GPT
