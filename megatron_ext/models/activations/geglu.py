"""GEGLU: gelu(gate) · up, with the exact form of GELU (arXiv:2002.05202, GLM-130B). `--activation geglu`"""

import torch.nn.functional as F

FUNCTION = F.gelu
GATED = True
