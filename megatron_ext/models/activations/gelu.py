"""GELU: x · Φ(x), with the exact normal distribution function (arXiv:1606.08415). `--activation gelu`"""

import torch.nn.functional as F

FUNCTION = F.gelu
GATED = False
