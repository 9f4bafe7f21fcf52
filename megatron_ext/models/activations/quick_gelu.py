"""Quick GELU: x · σ(1.702x), GELU with a sigmoid in place of the normal distribution (arXiv:1606.08415, CLIP).
`--activation quick_gelu`
"""

import torch


def FUNCTION(x: torch.Tensor) -> torch.Tensor:
    return x * torch.sigmoid(1.702 * x)


GATED = False
