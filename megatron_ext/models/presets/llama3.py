"""LLaMA 3 (arXiv:2407.21783, table 3 and section 3.4.1): `--preset llama3-8b`, `--preset llama3-70b`, `--preset llama3-405b`.

Learning rates 3e-4, 1.5e-4 and 8e-5; samples of 8,192; more than 15 T tokens, the 405B (of 3.1) 15.6 T. Of the 405B alone the
paper gives the rest: 8,000 steps of warm-up, cosine to 8e-7 over 1,200,000 steps; batches of 4 M tokens in samples of 4,096 for
the first 252 M tokens, of 8 M in samples of 8,192 until 2.87 T, then of 16 M = 2,048 samples, which the preset has. From the
second stage on that is `--rampup-batch-size 1024 1024 350_341_796 --lr-warmup-iters 8000 --lr-decay-iters 1_200_000`. Batch and
schedule of the two others are not published.

Positions scaled for 128 k tokens (3.1) came afterwards.
"""

_LLAMA3 = dict(
    num_query_groups=8,
    seq_length=8192,
    normalization="rmsnorm",
    norm_epsilon=1e-5,
    activation="swiglu",
    position_embedding_type="rope",
    rotary_base=500000,
    add_bias_linear=False,
    untie_embeddings_and_output_weights=True,
    train_tokens=15_000_000_000_000,
)

PRESETS = {
    "llama3_8b": dict(_LLAMA3, num_layers=32, hidden_size=4096, ffn_hidden_size=14336, num_attention_heads=32, lr=3e-4),
    "llama3_70b": dict(_LLAMA3, num_layers=80, hidden_size=8192, ffn_hidden_size=28672, num_attention_heads=64, lr=1.5e-4),
    "llama3_405b": dict(
        _LLAMA3,
        num_layers=126,
        hidden_size=16384,
        ffn_hidden_size=53248,
        num_attention_heads=128,
        global_batch_size=2048,
        train_tokens=15_600_000_000_000,
        lr=8e-5,
        min_lr=8e-7,
        lr_decay_style="cosine",
        lr_decay_iters=1_200_000,
        lr_warmup_iters=8000,
        weight_decay=0.1,
    ),
}
