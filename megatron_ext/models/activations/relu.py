"""ReLU: max(x, 0) (arXiv:1706.03762, section 3.3). `--activation relu`"""

import torch.nn.functional as F

FUNCTION = F.relu
GATED = False
