"""Core attention: softmax(q·kᵀ/√d)·v through torch's scaled_dot_product_attention, causal, grouped queries.

Takes megatron-core's place of `DotProductAttention`, which holds S×S scores in memory: SDPA never does in the causal
case, on CPU or GPU (FlashAttention, arXiv:2205.14135). `--attention-backend` says whose kernel, else torch chooses. Grouped
queries (arXiv:2305.13245) share keys by index, without copies.
"""

from __future__ import annotations

import contextlib

import torch
import torch.nn.functional as F
from megatron.core import tensor_parallel
from megatron.core.transformer.enums import AttnBackend, AttnMaskType
from megatron.core.transformer.module import MegatronModule
from torch.nn.attention import SDPBackend, sdpa_kernel

KERNELS = {
    AttnBackend.flash: SDPBackend.FLASH_ATTENTION,
    AttnBackend.fused: SDPBackend.CUDNN_ATTENTION,
    AttnBackend.unfused: SDPBackend.MATH,
}


class CoreAttention(MegatronModule):
    """Causal attention over this process's heads. `kernel` None leaves the choice to torch."""

    kernel: SDPBackend | None = None

    def __init__(
        self,
        config,
        layer_number,
        attn_mask_type,
        attention_type,
        attention_dropout=None,
        softmax_scale=None,
        cp_comm_type=None,
        pg_collection=None,
    ):
        super().__init__(config=config)
        self.dropout = config.attention_dropout if attention_dropout is None else attention_dropout
        self.softmax_scale = softmax_scale
        self.kernel = KERNELS.get(config.attention_backend)

    def forward(
        self, query, key, value, attention_mask, attn_mask_type=AttnMaskType.causal, attention_bias=None, packed_seq_params=None
    ):
        """query `[s, b, heads, d]`, key and value `[s', b, groups, d]` → `[s, b, heads · d]`.

        Args:
            attention_mask: `[b, 1, s, s']`, True where a query may look. None: each looks at itself and what is before it,
                where queries and keys are the same tokens; a single query, the newest token's, looks at all keys.
        """
        query, key, value = (x.permute(1, 2, 0, 3) for x in (query, key, value))
        dropout = self.dropout if self.training else 0.0
        if dropout > 0.0:
            # Heads differ between tensor-parallel processes, so their dropout must too.
            with tensor_parallel.get_cuda_rng_tracker().fork():
                context = self._attend(query, key, value, attention_mask, dropout)
        else:
            context = self._attend(query, key, value, attention_mask, 0.0)
        return context.permute(2, 0, 1, 3).flatten(2)

    def _attend(self, query, key, value, mask, dropout: float) -> torch.Tensor:
        with contextlib.nullcontext() if self.kernel is None else sdpa_kernel(self.kernel):
            return F.scaled_dot_product_attention(
                query,
                key,
                value,
                attn_mask=mask,
                is_causal=mask is None and query.shape[2] > 1,
                dropout_p=dropout,
                scale=self.softmax_scale,
                enable_gqa=query.shape[1] != key.shape[1],
            )
