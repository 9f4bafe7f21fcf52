"""Cross attention: a decoder's tokens ask, an encoder's answer (arXiv:1706.03762, section 3.2.3).

megatron-core's own, with what it lacks: grouped queries, and biases apart from the other linear layers'. A query sees all tokens
of its own document in the encoder, wherever they are (`Tokens.across`); positions add nothing here, as in T5 and BART. Rows of
`linear_kv` are `[key; value]` for each group. While a text grows, keys and values of the encoder's tokens are made once.
"""

from __future__ import annotations

from megatron.core.transformer import attention
from megatron.core.transformer.attention import Attention, CrossAttentionSubmodules
from megatron.core.transformer.enums import AttnMaskType


class CrossAttention(attention.CrossAttention):
    """Input `[s, b, h]` and the encoder's `[s', b, h]`, of which a tensor-parallel process may hold a part → `[s, b, h]`."""

    def __init__(
        self,
        config,
        submodules: CrossAttentionSubmodules,
        layer_number: int,
        attn_mask_type: AttnMaskType = AttnMaskType.padding,
        cp_comm_type: str | None = None,
        pg_collection=None,
    ):
        Attention.__init__(self, config, submodules, layer_number, attn_mask_type, "cross", cp_comm_type, pg_collection)
        settings = dict(config=config, init_method=config.init_method, gather_output=False, bias=config.add_qkv_bias,
                        skip_bias_add=False, is_expert=False)  # fmt: skip
        self.linear_q = submodules.linear_q(config.hidden_size, self.query_projection_size, **settings)
        self.linear_kv = submodules.linear_kv(config.hidden_size, 2 * self.kv_projection_size, **settings)

    def get_query_key_value_tensors(self, hidden_states, key_value_states, output_gate=False, split_qkv=True):
        """Query `[s, b, heads, d]`, key and value `[s', b, groups, d]`."""
        query, _ = self.linear_q(hidden_states)
        both, _ = self.linear_kv(key_value_states)
        width = self.hidden_size_per_attention_head
        key, value = both.unflatten(-1, (-1, 2 * width)).split(width, dim=-1)
        return query.unflatten(-1, (-1, width)), key, value

    def _adjust_key_value_for_inference(self, inference_context, query, key, value, rotary_pos_emb, *unused):
        """Called with queries, keys and values; with a Cache, keys and values are those of its first pass."""
        if inference_context is not None:
            kept = inference_context.keep(self.layer_number, keys_across=key.transpose(0, 1), values_across=value.transpose(0, 1))
            key, value = (tensor.transpose(0, 1) for tensor in kept)
        return query, key, value, rotary_pos_emb, self.attn_mask_type, None
