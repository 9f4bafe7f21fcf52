"""ReGLU: max(gate, 0) · up (arXiv:2002.05202). `--activation reglu`"""

import torch.nn.functional as F

FUNCTION = F.relu
GATED = True
