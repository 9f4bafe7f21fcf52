"""Attention: one core on scaled_dot_product_attention, under megatron-core's SelfAttention."""
