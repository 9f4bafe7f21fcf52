"""GPT-3 Small, 125 M parameters (arXiv:2005.14165, table 2.1 and appendix B). `--preset gpt3-125m`

Batch 0.5 M tokens = 256 samples of 2,048; learning rate 6e-4, cosine to 10 % over 260 B tokens, warm-up 375 M tokens.
"""

PRESET = dict(
    num_layers=12,
    hidden_size=768,
    ffn_hidden_size=3072,
    num_attention_heads=12,
    seq_length=2048,
    normalization="layernorm",
    norm_epsilon=1e-5,
    activation="gelu",
    position_embedding_type="learned_absolute",
    add_bias_linear=True,
    untie_embeddings_and_output_weights=False,
    global_batch_size=256,
    train_tokens=300_000_000_000,
    lr=6e-4,
    min_lr=6e-5,
    lr_decay_style="cosine",
    lr_decay_iters=495911,
    lr_warmup_iters=715,
    weight_decay=0.1,
    adam_beta1=0.9,
    adam_beta2=0.95,
    adam_eps=1e-8,
    clip_grad=1.0,
)
