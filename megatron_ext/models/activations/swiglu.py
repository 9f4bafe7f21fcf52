"""SwiGLU: silu(gate) · up, silu(x) = x · σ(x) (arXiv:2002.05202, LLaMA). `--activation swiglu`, Megatron-LM's `--swiglu`"""

import torch.nn.functional as F

FUNCTION = F.silu
GATED = True
