"""Dropout between an MLP's activation and its second matrix (T5, arXiv:1910.10683; BART, arXiv:1910.13461; fairseq's name).
`--activation-dropout`
"""

from __future__ import annotations

from megatron.core.tensor_parallel import RowParallelLinear, get_cuda_rng_tracker
from torch.nn import functional


class Linear(RowParallelLinear):
    """The MLP's second matrix. Input `[s, b, width inside / tp]`."""

    def forward(self, activated):
        if self.training:
            with get_cuda_rng_tracker().fork():  # tensor-parallel processes hold different channels
                activated = functional.dropout(activated, self.config.activation_dropout)
        return super().forward(activated)
