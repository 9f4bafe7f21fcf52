"""Each token sees itself and all before it (arXiv:1706.03762, section 3.2.3). `--attention-pattern causal`"""

from __future__ import annotations


def visible(query, key, limits, prefix):
    return key <= query


def reach(first: int, last: int, keys: int, limits, prefix) -> tuple[int, int]:
    return 0, min(last + 1, keys)
