"""GLM-4-9B (arXiv:2406.12793, sections 1 and 2; the shape from the released configuration, huggingface.co/zai-org/glm-4-9b):
`--preset glm4-9b`.

Half of each head's channels rotated, neighbours together, 2 heads of keys and values, biases in the projection of queries, keys
and values alone. Samples of 8,192; 10 T tokens, mostly Chinese and English. Batch, learning rate and schedule are not published.
Longer samples came afterwards, with a base of 5,000,000 for 128 k tokens.
"""

PRESETS = {
    "glm4_9b": dict(
        num_layers=40,
        hidden_size=4096,
        ffn_hidden_size=13696,
        num_attention_heads=32,
        num_query_groups=2,
        seq_length=8192,
        normalization="rmsnorm",
        norm_epsilon=1.5625e-7,
        activation="swiglu",
        position_embedding_type="rope",
        rotary_percent=0.5,
        rotary_interleaved=True,
        add_bias_linear=False,
        add_qkv_bias=True,
        untie_embeddings_and_output_weights=True,
        train_tokens=10_000_000_000_000,
    )
}
