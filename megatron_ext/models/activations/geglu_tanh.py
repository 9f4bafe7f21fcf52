"""GEGLU with the tanh form of GELU: gelu_tanh(gate) · up (arXiv:2002.05202; T5 1.1, Gemma). `--activation geglu_tanh`"""

import functools

import torch.nn.functional as F

FUNCTION = functools.partial(F.gelu, approximate="tanh")
GATED = True
