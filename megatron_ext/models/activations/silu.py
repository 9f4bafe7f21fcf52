"""SiLU, or swish: x · σ(x) (arXiv:1606.08415, arXiv:1710.05941). `--activation silu`"""

import torch.nn.functional as F

FUNCTION = F.silu
GATED = False
