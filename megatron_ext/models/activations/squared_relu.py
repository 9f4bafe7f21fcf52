"""Squared ReLU: max(x, 0)² (Primer, arXiv:2109.08668; Nemotron-4). `--activation squared_relu`, Megatron-LM's `--squared-relu`"""

import torch
import torch.nn.functional as F


def FUNCTION(x: torch.Tensor) -> torch.Tensor:
    return F.relu(x).square()


GATED = False
