"""Reordered norm: x + norm(f(x)) (OLMo 2, arXiv:2501.00656, section 3.1; Swin V2, arXiv:2111.09883).
`--norm-placement reordered`
"""

from megatron_ext.models.norm_placements.sandwich import with_bias

BEFORE, AFTER, FINAL = False, True, True


def sublayer(x, f, before, after, add, config, alpha):
    return add((after(with_bias(f(x))), None), x)
