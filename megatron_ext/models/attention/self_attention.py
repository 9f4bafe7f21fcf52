"""Self-attention that keeps the keys and values of earlier tokens while generating (models/cache.py).

megatron-core's own cache (StaticInferenceContext, 0.16.1) has one offset for the whole batch, so texts of unequal length would
need padding at the front and positions that count it; it keeps keys before rotation and turns all of them again in each
step; and it takes the last place of the batch for every text's last token. Here each row has its own positions, and keys are
kept rotated. Positions that rotate in their own way (xPos) do so here, too.
"""

from __future__ import annotations

from megatron.core.models.common.embeddings import apply_rotary_pos_emb
from megatron.core.models.common.embeddings.yarn_rotary_pos_embedding import _yarn_get_concentration_factor_from_config
from megatron.core.transformer import attention

from megatron_ext.arguments.registry import Registry

POSITIONS = Registry("megatron_ext.models.positions")


class SelfAttention(attention.SelfAttention):
    """megatron-core's self-attention; with a Cache, the keys and values that the core sees are the whole text's."""

    def _adjust_key_value_for_inference(self, inference_context, query, key, value, rotary_pos_emb, *unused):
        """Called once queries, keys and values `[s, b, heads, d]` are computed, before rotation; training passes through.

        rotary_pos_emb: `(of queries, of keys)`, angles of these tokens, or what their position's own rotation gave; or None.
        """
        own = getattr(POSITIONS.load(self.config.position), "rotate", None)
        if own is not None:
            query, key = own(query, rotary_pos_emb[0], key=False), own(key, rotary_pos_emb[1], key=True)
            rotary_pos_emb = None
        if inference_context is None:
            return super()._adjust_key_value_for_inference(None, query, key, value, rotary_pos_emb, *unused)
        cache = inference_context
        if rotary_pos_emb is not None:
            angles, _ = rotary_pos_emb
            scale = _yarn_get_concentration_factor_from_config(self.config)  # as for queries, megatron-core's attention.py:1087
            key = apply_rotary_pos_emb(key, angles, config=self.config, mscale=scale, cp_group=self.pg_collection.cp)
            rotary_pos_emb = (angles, None)  # queries are rotated where they always are
        key, value = cache.extend(self.layer_number, key=key.permute(1, 2, 0, 3), value=value.permute(1, 2, 0, 3))
        return query, key.permute(2, 0, 1, 3), value.permute(2, 0, 1, 3), rotary_pos_emb, self.attn_mask_type, None
