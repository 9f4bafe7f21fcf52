"""GLU: σ(gate) · up (arXiv:1612.08083). `--activation glu`"""

import torch

FUNCTION = torch.sigmoid
GATED = True
