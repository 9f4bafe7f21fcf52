"""DeepNorm: norm(α · x + f(x)), with values, outputs and MLPs drawn smaller by β (arXiv:2203.00555). `--norm-placement deepnorm`

Table 1 of the paper, for N layers of an encoder and M of a decoder:

                              α                   β
    encoder alone             (2N)^¼              (8N)^(−¼)
    decoder alone             (2M)^¼              (8M)^(−¼)
    encoder, with a decoder   0.81 (N⁴M)^(1/16)   0.87 (N⁴M)^(−1/16)
    decoder, with an encoder  (3M)^¼              (12M)^(−¼)

Matrices are drawn as Xavier's normal with gain β, queries' and keys' with gain 1. `--deepnorm-alpha` and `--deepnorm-beta` set
others: GLM-130B (arXiv:2210.02414) has (2N)^½ and (2N)^(−½) and, with `--apply-residual-connection-post-layernorm`, takes the
residual from the normed input: α · norm(x) + f(norm(x)).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

BEFORE, AFTER, FINAL = False, True, False


class Constants(NamedTuple):
    alpha: float
    beta: float


def constants(encoder: int = 0, decoder: int = 0) -> dict[str, Constants]:
    """Of the parts that a model of so many layers has: `encoder`, `decoder`."""
    if encoder and decoder:
        both = (encoder**4 * decoder) ** (1 / 16)
        return {
            "encoder": Constants(0.81 * both, 0.87 / both),
            "decoder": Constants((3 * decoder) ** 0.25, (12 * decoder) ** -0.25),
        }
    layers = encoder or decoder
    return {"encoder" if encoder else "decoder": Constants((2 * layers) ** 0.25, (8 * layers) ** -0.25)}


def constants_of(layers: int, encoder: int = 0) -> dict[str, Constants]:
    """Of both halves of a stack of `layers`, of which the first are an `encoder`; in one without, they are the same."""
    found = constants(encoder, layers - encoder)
    return found if encoder else found | {"encoder": found["decoder"]}


def sublayer(x, f, before, after, add, config, alpha):
    if config.residual_from_norm:
        normed = before(x)
        return add(f(normed), alpha * normed)
    return after(add(f(x), alpha * x))


MATRICES = (".linear_qkv.weight", ".linear_q.weight", ".linear_kv.weight", ".linear_proj.weight", ".linear_fc1.weight",
            ".linear_fc2.weight")  # fmt: skip


def stds(place, config) -> torch.Tensor:
    """Standard deviations of a matrix's block, `[rows, 1]` or one for all: gain · √(2 / (columns + rows)), Xavier's normal."""
    rows, columns = place.shape[-2:]
    beta = config.deepnorm_beta or constants_of(config.num_layers, config.encoder_layers)[place.name.partition(".")[0]].beta
    if place.name.endswith(".linear_q.weight"):
        return torch.tensor(math.sqrt(2 / (rows + columns)))
    if not place.name.endswith((".linear_qkv.weight", ".linear_kv.weight")):
        return torch.tensor(beta * math.sqrt(2 / (rows + columns)))
    width, groups = config.kv_channels, config.num_query_groups
    queries = config.num_attention_heads // groups if place.name.endswith(".linear_qkv.weight") else 0
    head = torch.arange(place.start[0], place.start[0] + place.local[0]) // width % (queries + 2)  # of a group: q …, k, v
    query = math.sqrt(2 / (columns + width * config.num_attention_heads))
    key = math.sqrt(2 / (columns + width * groups))
    found = torch.where(head < queries, query, torch.where(head == queries, key, beta * key))
    return found[:, None].float()
