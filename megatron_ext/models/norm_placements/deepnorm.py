"""DeepNorm: norm(α · x + f(x)), with values, outputs and MLPs drawn smaller by β (arXiv:2203.00555). `--norm-placement deepnorm`

For a decoder or an encoder of N layers alone α = (2N)^¼ and β = (8N)^(−¼) (table 1). Matrices are drawn as Xavier's normal with
gain β, queries' and keys' with gain 1. `--deepnorm-alpha` sets α: GLM-130B (arXiv:2210.02414) has (2N)^½ and, with
`--apply-residual-connection-post-layernorm`, takes the residual from the normed input: α · norm(x) + f(norm(x)).
"""

from __future__ import annotations

import math

import torch

BEFORE, AFTER, FINAL = False, True, False


def alpha(layers: int) -> float:
    return (2 * layers) ** 0.25


def beta(layers: int) -> float:
    return (8 * layers) ** -0.25


def sublayer(x, f, before, after, add, config):
    if config.residual_from_norm:
        normed = before(x)
        return add(f(normed), config.deepnorm_alpha * normed)
    return after(add(f(x), config.deepnorm_alpha * x))


MATRICES = (".linear_qkv.weight", ".linear_proj.weight", ".linear_fc1.weight", ".linear_fc2.weight")


def stds(place, config) -> torch.Tensor:
    """Standard deviations of a matrix's block, `[rows, 1]` or one for all: gain · √(2 / (columns + rows)), Xavier's normal."""
    rows, columns = place.shape[-2:]
    if not place.name.endswith(".linear_qkv.weight"):
        return torch.tensor(beta(config.num_layers) * math.sqrt(2 / (rows + columns)))
    width, groups = config.kv_channels, config.num_query_groups
    queries = config.num_attention_heads // groups
    head = torch.arange(place.start[0], place.start[0] + place.local[0]) // width % (queries + 2)  # of a group: q …, k, v
    query = math.sqrt(2 / (columns + width * config.num_attention_heads))
    key = math.sqrt(2 / (columns + width * groups))
    found = torch.where(head < queries, query, torch.where(head == queries, key, beta(config.num_layers) * key))
    return found[:, None].float()
