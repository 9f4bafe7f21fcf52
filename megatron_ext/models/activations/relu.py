"""ReLU: max(x, 0). `--activation relu`"""

import torch.nn.functional as F

FUNCTION = F.relu
GATED = False
