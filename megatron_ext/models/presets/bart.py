"""BART (arXiv:1910.13461, section 5.1): `--preset bart-base`, `--preset bart-large`.

An encoder and a decoder, post-norm, learned positions and a norm on the embedding in each, exact gelu, biases; dropout 0.1. Spans
of 30 % of the tokens infilled, all sentences permuted; 8,000 samples a batch, 500,000 updates, the last tenth of them without
dropout. What the paper leaves out is from its author's command (github.com/facebookresearch/fairseq, issue 1899): samples of 512
tokens and, of the large one, rate 4e-4, warm-up over 10,000 updates, linear to 0, decay 0.01, clipped at 0.1.
"""


def _size(layers: int, hidden: int, heads: int) -> dict:
    return dict(
        architecture="encoder_decoder",
        objective="denoising",
        permute_sentences_rate=1.0,
        infill_rate=0.3,
        infill_mean=3.0,
        encoder_num_layers=layers,
        decoder_num_layers=layers,
        hidden_size=hidden,
        ffn_hidden_size=4 * hidden,
        num_attention_heads=heads,
        encoder_seq_length=512,
        decoder_seq_length=512,
        max_position_embeddings=1024,
        normalization="layernorm",
        norm_epsilon=1e-5,
        norm_placement="post",
        embedding_norm=True,
        activation="gelu",
        position_embedding_type="learned_absolute",
        add_bias_linear=True,
        untie_embeddings_and_output_weights=False,
        hidden_dropout=0.1,
        attention_dropout=0.1,
        global_batch_size=8000,
        train_tokens=500_000 * 8000 * 1024,
    )


PRESETS = {
    "bart_base": _size(6, 768, 12),
    "bart_large": dict(
        _size(12, 1024, 16),
        lr=4e-4,
        lr_decay_style="linear",
        min_lr=0.0,
        lr_warmup_iters=10_000,
        weight_decay=0.01,
        clip_grad=0.1,
    ),
}
