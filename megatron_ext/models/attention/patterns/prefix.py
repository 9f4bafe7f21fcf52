"""A document's prefix is seen by all of it, so by its own tokens both ways; those after it see all before (arXiv:1910.10683,
figure 4; UniLM, arXiv:1905.03197). Objectives say which tokens are a prefix. `--attention-pattern prefix`
"""

from __future__ import annotations


def visible(query, key, limits, prefix):
    before = key <= query
    return before if prefix is None else before | prefix


def reach(first: int, last: int, keys: int, limits, prefix) -> tuple[int, int]:
    shown = () if prefix is None else prefix[:, last + 1 :].any(0).nonzero()
    return 0, min(last + 1, keys) + (int(shown[-1]) + 1 if len(shown) else 0)
