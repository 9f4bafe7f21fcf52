"""Mistral 7B (arXiv:2310.06825, table 1): `--preset mistral-7b`.

Every layer sees a window of 4,096 tokens, of samples of 8,192. Tokens trained, batch and learning rate are not published.
"""

PRESETS = {
    "mistral_7b": dict(
        num_layers=32,
        hidden_size=4096,
        ffn_hidden_size=14336,
        num_attention_heads=32,
        num_query_groups=8,
        seq_length=8192,
        attention_pattern=("sliding_window",),
        sliding_window=4096,
        normalization="rmsnorm",
        norm_epsilon=1e-5,
        activation="swiglu",
        position_embedding_type="rope",
        rotary_base=10000,
        add_bias_linear=False,
        untie_embeddings_and_output_weights=True,
    )
}
