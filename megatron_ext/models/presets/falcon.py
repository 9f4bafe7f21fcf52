"""Falcon (arXiv:2311.16867, and the model cards): `--preset falcon-7b`, `--preset falcon-40b`, `--preset falcon-180b`.

Attention and MLP side by side, in the 7B with one norm and one head of keys and values, in the others with two and with eight.
Batches of 2,304, 1,152 and 2,048 samples of 2,048 (4.7 M, 2.4 M and 4.2 M tokens), reached after 30 B, 100 B and 100 B tokens;
1.5 T, 1.0 T and 3.5 T tokens. Learning rates 6e-4, 1.85e-4 and 1.25e-4, 4 B tokens of warm-up, cosine to a tenth
(7B: to 1.2e-5); weight decay 0.1, z-loss 1e-4.
"""

SEQUENCE = 2048


def _size(batch: int, **fields) -> dict:
    """`batch` in samples."""
    common = dict(
        seq_length=SEQUENCE,
        normalization="layernorm",
        norm_epsilon=1e-5,
        activation="gelu",
        position_embedding_type="rope",
        rotary_base=10000,
        parallel_residual=True,
        add_bias_linear=False,
        untie_embeddings_and_output_weights=False,
        global_batch_size=batch,
        lr_decay_style="cosine",
        lr_warmup_iters=round(4e9 / (batch * SEQUENCE)),
        weight_decay=0.1,
        z_loss_coeff=1e-4,
    )
    return dict(common, **fields)


PRESETS = {
    "falcon_7b": _size(
        2304,
        num_layers=32,
        hidden_size=4544,
        ffn_hidden_size=18176,
        num_attention_heads=71,
        num_query_groups=1,
        share_parallel_norm=True,
        train_tokens=1_500_000_000_000,
        lr=6e-4,
        min_lr=1.2e-5,
    ),
    "falcon_40b": _size(
        1152,
        num_layers=60,
        hidden_size=8192,
        ffn_hidden_size=32768,
        num_attention_heads=128,
        num_query_groups=8,
        train_tokens=1_000_000_000_000,
        lr=1.85e-4,
    ),
    "falcon_180b": _size(
        2048,
        num_layers=80,
        hidden_size=14848,
        ffn_hidden_size=59392,
        num_attention_heads=232,
        num_query_groups=8,
        train_tokens=3_500_000_000_000,
        lr=1.25e-4,
    ),
}
