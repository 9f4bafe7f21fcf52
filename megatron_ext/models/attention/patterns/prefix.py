"""The first P tokens see each other both ways, those after them see all before (arXiv:1910.10683, figure 4; UniLM,
arXiv:1905.03197). `--attention-pattern prefix --prefix-length P`
"""

from __future__ import annotations


def visible(query, key, limits):
    return (key <= query) | (key < limits.prefix)


def reach(first: int, last: int, keys: int, limits) -> tuple[int, int]:
    return 0, min(max(last + 1, limits.prefix), keys)
