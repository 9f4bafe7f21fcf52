"""Core attention: softmax(q·kᵀ/√d + bias)·v over the keys that a pattern shows, with grouped queries.

Takes megatron-core's place of `DotProductAttention`, which holds S×S scores in memory. Plain causal attention is one call of
torch's scaled_dot_product_attention, which never does, on CPU or GPU (FlashAttention, arXiv:2205.14135); everything else is
FlexAttention's on CUDA (`flex.py`), or goes in blocks of queries (`blocks.py`). Which of them, `backend.py` says for
`--attention-backend`. Grouped queries (arXiv:2305.13245) share keys by index, without copies.
"""

from __future__ import annotations

import contextlib
import functools

import torch
import torch.nn.functional as F
from megatron.core import parallel_state, tensor_parallel
from megatron.core.transformer.enums import AttnBackend, AttnMaskType
from megatron.core.transformer.module import MegatronModule
from torch.nn.attention import SDPBackend, sdpa_kernel

from megatron_ext.arguments.registry import Registry
from megatron_ext.models.attention import flex
from megatron_ext.models.attention.blocks import attend, attend_again, attend_by_scores, blocks
from megatron_ext.models.attention.context_parallel import gathered, spread
from megatron_ext.models.attention.saved import Again, made_again
from megatron_ext.models.attention.tokens import Limits, Tokens

PATTERNS = Registry("megatron_ext.models.attention.patterns")
POSITIONS = Registry("megatron_ext.models.positions")
KERNELS = {
    AttnBackend.flash: SDPBackend.FLASH_ATTENTION,
    AttnBackend.fused: SDPBackend.CUDNN_ATTENTION,
    AttnBackend.unfused: SDPBackend.MATH,
}


class CoreAttention(MegatronModule):
    """Attention over this process's heads, in a layer's pattern. `kernel` None leaves the choice to torch.

    `spread`: keys and values are those of several processes; `across`: queries are other tokens than the keys, which are all
    shown within a document, and whose distance says nothing.
    """

    kernel: SDPBackend | None = None
    spread = False
    across = False

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
        self.turn = (layer_number - 1) % len(config.attention_patterns)
        self.across = attention_type == "cross"
        self.pattern = PATTERNS.load("full" if self.across else config.attention_patterns[self.turn])
        self.limits = Limits(config.sliding_window)
        self.cap = config.attention_logit_cap
        self.spread = spread()
        position = POSITIONS.load(config.position)
        heads = config.num_attention_heads // config.tensor_model_parallel_size
        first = heads * parallel_state.get_tensor_model_parallel_rank()
        biased = hasattr(position, "Bias") and not self.across
        self.bias = position.Bias(config, first, heads, config.in_encoder(layer_number)) if biased else None
        self.learns_bias = self.bias is not None and any(True for _ in self.bias.parameters())

    def forward(
        self,
        query,
        key,
        value,
        attention_mask,
        attn_mask_type=AttnMaskType.causal,
        attention_bias=None,
        packed_seq_params=None,
        again: tuple[Again, ...] = (),
    ):
        """query `[s, b, heads, d]`, key and value `[s', b, groups, d]` → `[s, b, heads · d]`.

        Args:
            attention_bias: the pass's `Tokens`; None where queries and keys are the same tokens, in one document each row.
            again: of keys and values that were gathered already, what backward makes again.
        """
        if self.spread and not again:
            (key, value), *again = gathered(key, value)
        query, key, value = (x.permute(1, 2, 0, 3) for x in (query, key, value))
        dropout = self.dropout if self.training else 0.0
        # Heads differ between tensor-parallel processes, so their dropout must too.
        region = tensor_parallel.get_cuda_rng_tracker().fork() if dropout > 0.0 else contextlib.nullcontext()
        kernel = contextlib.nullcontext() if self.kernel is None else sdpa_kernel(self.kernel)
        with region, kernel:
            context = self._attend(query, key, value, attention_bias, dropout, again)
        if attention_bias is not None and attention_bias.blind is not None:
            context = context.masked_fill(attention_bias.blind[:, None, :, None], 0.0)
        return context.permute(2, 0, 1, 3).flatten(2)

    def _attend(self, query, key, value, tokens: Tokens | None, dropout: float, again) -> torch.Tensor:
        scale, grouped = self.softmax_scale, query.shape[1] != key.shape[1]
        device = query.device.type
        kernel = (self.config.attention_across(device) if self.across else self.config.attention_on(device)[self.turn]).kernel
        if tokens is None and kernel == "sdpa":
            return F.scaled_dot_product_attention(
                query, key, value, is_causal=True, dropout_p=dropout, scale=scale, enable_gqa=grouped
            )
        if tokens is None:
            tokens = Tokens.whole(query.shape[2], query.device)
        if kernel == "flex" and tokens.queries.dim() == 1:
            bias = None if self.bias is None else self.bias()
            with made_again(*again):
                return flex.attend(query, key, value, tokens, self.pattern, self.limits, bias, self.cap, scale)
        found = []
        for block in self._blocks(tokens):
            parts = query[:, :, block.queries], key[:, :, block.keys], value[:, :, block.keys]
            if self.cap is not None:
                found.append(attend_by_scores(*parts, block, scale, dropout, self.cap, again))
            elif self.learns_bias or dropout > 0.0 or self.kernel == SDPBackend.MATH:
                found.append(attend_again(*parts, block, scale, dropout, self.kernel, again))
            else:
                found.append(attend(*parts, block, scale, dropout, again))
        return found[0] if len(found) == 1 else torch.cat(found, dim=2)

    def _blocks(self, tokens: Tokens):
        """The blocks of a pass; while a text grows by a token, masks are small, and layers of a pattern share them."""
        if tokens.queries.dim() == 1 or self.bias is not None:
            return blocks(tokens, self.pattern, self.limits, None if self.bias is None else self.bias())
        cut = self.pattern, self.limits
        if cut not in tokens.cuts:
            made = blocks(tokens, self.pattern, self.limits, None)
            tokens.cuts[cut] = [block._replace(mask=functools.cache(block.mask)) for block in made]
        return tokens.cuts[cut]
