"""YuLan 12B (arXiv:2406.19853; the shape from the released configuration): `--preset yulan-12b`.

LLaMA's architecture with a vocabulary of 51,190 for Chinese and English; samples of 4,096; about 1.7 T tokens in three stages
that go from easy to hard. Batch and learning rate are in none of the sources that this was written from, and left out.
"""

PRESETS = {
    "yulan_12b": dict(
        num_layers=40,
        hidden_size=4864,
        ffn_hidden_size=13056,
        num_attention_heads=38,
        seq_length=4096,
        normalization="rmsnorm",
        norm_epsilon=1e-6,
        activation="swiglu",
        position_embedding_type="rope",
        rotary_base=10000,
        add_bias_linear=False,
        untie_embeddings_and_output_weights=True,
        train_tokens=1_700_000_000_000,
    )
}
