"""BERT (arXiv:1810.04805, section 3 and appendix A.2): `--preset bert-base`, `--preset bert-large`.

Post-norm, learned positions, exact gelu, two types of tokens, masked words and the next sentence; dropout 0.1. 256 samples of 512
tokens a batch, 1 M updates; Adam with decay 0.01, rate 1e-4, warm-up over 10,000 updates, then linear to 0. The paper's samples
have 128 tokens for the first 90 % of the updates.
"""


def _size(layers: int, hidden: int, heads: int) -> dict:
    return dict(
        architecture="encoder",
        objective="masked_lm",
        sentence_task="next_sentence",
        num_layers=layers,
        hidden_size=hidden,
        ffn_hidden_size=4 * hidden,
        num_attention_heads=heads,
        seq_length=512,
        normalization="layernorm",
        norm_epsilon=1e-12,
        norm_placement="post",
        embedding_norm=True,
        activation="gelu",
        position_embedding_type="learned_absolute",
        add_bias_linear=True,
        add_output_bias=True,
        untie_embeddings_and_output_weights=False,
        hidden_dropout=0.1,
        attention_dropout=0.1,
        global_batch_size=256,
        train_tokens=1_000_000 * 256 * 512,
        lr=1e-4,
        lr_decay_style="linear",
        min_lr=0.0,
        lr_warmup_iters=10_000,
        weight_decay=0.01,
        adam_beta1=0.9,
        adam_beta2=0.999,
        adam_eps=1e-6,
    )


PRESETS = {
    "bert_base": _size(12, 768, 12),
    "bert_large": _size(24, 1024, 16),
}
