"""PaLM 540B (arXiv:2204.02311, table 1 and section 5): `--preset palm-540b`.

Attention and MLP side by side with one norm, one head of keys and values, no bias anywhere, logits divided by √hidden. Batch 4 M
tokens = 2,048 samples of 2,048 (512 samples until step 50,000, 1,024 until 115,000); 780 B tokens.

No learning rate stands here: the paper's 1e-2, from step 10,000 on 1/√step, is Adafactor's, which multiplies it by each
matrix's size; its weight decay is the square of that rate. Its embedding starts at N(0, 1), matrices at N(0, 1/inputs).
"""

PRESETS = {
    "palm_540b": dict(
        num_layers=118,
        hidden_size=18432,
        ffn_hidden_size=73728,
        num_attention_heads=48,
        num_query_groups=1,
        kv_channels=256,
        seq_length=2048,
        normalization="layernorm",
        norm_bias=False,
        activation="swiglu",
        position_embedding_type="rope",
        parallel_residual=True,
        share_parallel_norm=True,
        logit_scale=18432**-0.5,
        add_bias_linear=False,
        untie_embeddings_and_output_weights=False,
        global_batch_size=2048,
        train_tokens=780_000_000_000,
        clip_grad=1.0,
        z_loss_coeff=1e-4,
    )
}
