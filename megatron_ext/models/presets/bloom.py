"""BLOOM, 176 B parameters (arXiv:2211.05100, table 3): `--preset bloom-176b`.

ALiBi, a norm on the embedding. Batch 4.2 M tokens = 2,048 samples of 2,048; learning rate 6e-5, warm-up over 375 M tokens, cosine
to a tenth over 410 B; 366 B tokens. What the paper leaves out is from the run's script, published beside it
(github.com/bigscience-workshop/bigscience, train/tr11-176B-ml): the initial weights' deviation, and how the batch grew,
`--rampup-batch-size 192 16 9_765_625 --lr-warmup-samples 183_105 --lr-decay-samples 200_000_000`. Without, warm-up and decay are
in updates of the full batch.
"""

PRESETS = {
    "bloom_176b": dict(
        num_layers=70,
        hidden_size=14336,
        ffn_hidden_size=57344,
        num_attention_heads=112,
        seq_length=2048,
        normalization="layernorm",
        norm_epsilon=1e-5,
        activation="gelu_tanh",
        position_embedding_type="alibi",
        embedding_norm=True,
        add_bias_linear=True,
        untie_embeddings_and_output_weights=False,
        init_method_std=0.0048,
        global_batch_size=2048,
        train_tokens=366_000_000_000,
        lr=6e-5,
        lr_decay_style="cosine",
        lr_decay_iters=97_656,
        lr_warmup_iters=89,
        weight_decay=0.1,
        adam_beta1=0.9,
        adam_beta2=0.95,
        adam_eps=1e-8,
        clip_grad=1.0,
    )
}
