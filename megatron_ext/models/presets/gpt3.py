"""GPT-3 (arXiv:2005.14165, table 2.1 and appendix B): `--preset gpt3-125m`, `--preset gpt3-350m`, `--preset gpt3-760m`,
`--preset gpt3-1.3b`, `--preset gpt3-2.7b`, `--preset gpt3-6.7b`, `--preset gpt3-13b`, `--preset gpt3-175b`.

Batch 0.5 M to 3.2 M tokens, here powers of two of samples of 2,048, and 1,536 samples (3.1 M) for the largest, which more
layouts divide. Learning rate 6e-4 to 0.6e-4, warm-up over 375 M tokens, cosine to a tenth over 260 B, 300 B tokens in all. The
paper grows the batch from 32 k tokens over the first 4 to 12 B; over 12 B that is
`--rampup-batch-size 16 16 5_859_375 --lr-warmup-samples 183_105 --lr-decay-samples 126_953_125`.

Two rows of the table contradict themselves, and the counts of table D.1 decide: XL has 24 heads of 128 beside a width of 2,048,
but its 1,320 M parameters are those of 16 heads; 13B has a width of 5,140 beside 40 heads of 128, but its 12,850 M are those of
5,120. Every other layer of the paper's attends in a sparse, banded pattern whose size is not published; here all are dense.
"""

SEQUENCE = 2048


def _size(layers: int, hidden: int, heads: int, lr: float, batch: int) -> dict:
    """A row of table 2.1. `batch` in samples."""
    return dict(
        num_layers=layers,
        hidden_size=hidden,
        ffn_hidden_size=4 * hidden,
        num_attention_heads=heads,
        seq_length=SEQUENCE,
        normalization="layernorm",
        norm_epsilon=1e-5,
        activation="gelu",
        position_embedding_type="learned_absolute",
        add_bias_linear=True,
        untie_embeddings_and_output_weights=False,
        global_batch_size=batch,
        train_tokens=300_000_000_000,
        lr=lr,
        lr_decay_style="cosine",
        lr_decay_iters=round(260e9 / (batch * SEQUENCE)),
        lr_warmup_iters=round(375e6 / (batch * SEQUENCE)),
        weight_decay=0.1,
        adam_beta1=0.9,
        adam_beta2=0.95,
        adam_eps=1e-8,
        clip_grad=1.0,
    )


PRESETS = {
    "gpt3_125m": _size(12, 768, 12, 6e-4, 256),
    "gpt3_350m": _size(24, 1024, 16, 3e-4, 256),
    "gpt3_760m": _size(24, 1536, 16, 2.5e-4, 256),
    "gpt3_1.3b": _size(24, 2048, 16, 2e-4, 512),
    "gpt3_2.7b": _size(32, 2560, 32, 1.6e-4, 512),
    "gpt3_6.7b": _size(32, 4096, 32, 1.2e-4, 1024),
    "gpt3_13b": _size(40, 5120, 40, 1e-4, 1024),
    "gpt3_175b": _size(96, 12288, 96, 0.6e-4, 1536),
}
