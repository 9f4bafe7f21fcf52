"""GELU in its tanh form: ½x(1 + tanh(√(2/π)(x + 0.044715x³))) (arXiv:1606.08415), as GPT-2 and Megatron-LM's fused bias + gelu.

It is within 5e-4 of the exact form. `--activation gelu_tanh`
"""

import functools

import torch.nn.functional as F

FUNCTION = functools.partial(F.gelu, approximate="tanh")
GATED = False
