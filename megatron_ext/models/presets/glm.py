"""GLM-130B (arXiv:2210.02414, section 2 and table 11; the vocabulary from the released configuration,
github.com/THUDM/GLM-130B): `--preset glm-130b`.

A prefix decoder that fills in blanks: [gMASK] in 70 % of the documents, [MASK] in the others, 15 % of their tokens in spans of 3.
DeepNorm with α = (2N)^½, each residual taken behind its norm, and matrices drawn by (2N)^(−½); rotary positions, GeGLU, biases,
the embedding as output matrix; dropout 0.1. Batch 8.7 M tokens = 4,224 samples of 2,048, learning rate 8e-5, warm-up over 0.5 %
of 450 B tokens, cosine to a tenth over 90 % of them; stopped at 400 B. The batch grew,
`--rampup-batch-size 192 24 5_493_164 --lr-warmup-samples 1_098_632 --lr-decay-samples 197_753_905`. Without, warm-up and decay
are in updates of the full batch.

Theirs and not here: 5 % of the tokens are of instructed tasks; a [MASK] is in a window of 512 tokens, a [gMASK] hides a fifth at
least; the embedding's gradient is multiplied by 0.1. The rate was halved at update 26,000, and the least one at 42,700.
"""

LAYERS = 70

PRESETS = {
    "glm_130b": dict(
        architecture="prefix_decoder",
        objective="blank_infilling",
        gmask_rate=0.7,
        blank_rate=0.15,
        mean_blank_length=3.0,
        num_layers=LAYERS,
        hidden_size=12288,
        ffn_hidden_size=32768,
        num_attention_heads=96,
        seq_length=2048,
        normalization="layernorm",
        norm_epsilon=1e-5,
        norm_placement="deepnorm",
        deepnorm_alpha=(2 * LAYERS) ** 0.5,
        deepnorm_beta=(2 * LAYERS) ** -0.5,
        apply_residual_connection_post_layernorm=True,
        activation="geglu",
        position_embedding_type="rope",
        add_bias_linear=True,
        untie_embeddings_and_output_weights=False,
        init_method_std=0.0052,
        hidden_dropout=0.1,
        attention_dropout=0.1,
        global_batch_size=4224,
        train_tokens=400_000_000_000,
        lr=8e-5,
        lr_decay_style="cosine",
        lr_decay_iters=46_817,
        lr_warmup_iters=260,
        weight_decay=0.1,
        adam_beta1=0.9,
        adam_beta2=0.95,
        adam_eps=1e-8,
        clip_grad=1.0,
    )
}
