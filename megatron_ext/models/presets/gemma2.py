"""Gemma 2 (arXiv:2408.00118, table 1): `--preset gemma2-2b`, `--preset gemma2-9b`, `--preset gemma2-27b`.

Norms around each sublayer, every other layer (the first among them) sees 4,096 tokens, scores and logits are capped at 50 and 30,
the embedding is multiplied by √hidden and shared with the output. Samples of 8,192; 2 T, 8 T and 13 T tokens, the two smaller
ones learning from a larger model's probabilities, not from the next token alone. Batch, learning rate and schedule are not
published.

The table's width of the MLP, twice ours, counts gate and value. The 27B's scores are divided by √(hidden/heads), not by √128
(the released configuration).
"""


def _size(layers: int, hidden: int, ffn: int, heads: int, groups: int, channels: int, scores: int, tokens: int) -> dict:
    """`scores`: what attention's scores are divided by the root of."""
    return dict(
        num_layers=layers,
        hidden_size=hidden,
        ffn_hidden_size=ffn,
        num_attention_heads=heads,
        num_query_groups=groups,
        kv_channels=channels,
        softmax_scale=scores**-0.5,
        seq_length=8192,
        attention_pattern=("sliding_window", "causal"),
        sliding_window=4096,
        attn_logit_softcapping=50.0,
        final_logit_softcapping=30.0,
        normalization="rmsnorm",
        norm_epsilon=1e-6,
        apply_layernorm_1p=True,
        norm_placement="sandwich",
        activation="geglu_tanh",
        position_embedding_type="rope",
        rotary_base=10000,
        embedding_scale=hidden**0.5,
        add_bias_linear=False,
        untie_embeddings_and_output_weights=False,
        train_tokens=tokens,
    )


PRESETS = {
    "gemma2_2b": _size(26, 2304, 9216, 8, 4, 256, 256, 2_000_000_000_000),
    "gemma2_9b": _size(42, 3584, 14336, 16, 8, 256, 256, 8_000_000_000_000),
    "gemma2_27b": _size(46, 4608, 36864, 32, 16, 128, 4608 // 32, 13_000_000_000_000),
}
