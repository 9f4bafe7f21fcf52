"""A LLaMA in miniature that trains in seconds on one CPU core; for trying things out and for tests. `--preset tiny`"""

PRESETS = {
    "tiny": dict(
        num_layers=4,
        hidden_size=64,
        ffn_hidden_size=192,
        num_attention_heads=4,
        num_query_groups=2,
        seq_length=64,
        normalization="rmsnorm",
        activation="swiglu",
        position_embedding_type="rope",
        micro_batch_size=4,
        global_batch_size=8,
        train_iters=20,
        lr=1e-3,
    )
}
