"""LLaMA 7B: 6,738,415,616 parameters with its vocabulary of 32,000 (arXiv:2302.13971, table 2). `--preset llama-7b`

Batch 4 M tokens = 2,048 samples of 2,048; learning rate 3e-4, cosine to 10 %, 2,000 steps of warm-up; 1.0 T tokens.
"""

PRESET = dict(
    num_layers=32,
    hidden_size=4096,
    ffn_hidden_size=11008,
    num_attention_heads=32,
    seq_length=2048,
    normalization="rmsnorm",
    norm_epsilon=1e-6,
    activation="swiglu",
    position_embedding_type="rope",
    rotary_base=10000,
    add_bias_linear=False,
    untie_embeddings_and_output_weights=True,
    global_batch_size=2048,
    train_tokens=1_000_000_000_000,
    lr=3e-4,
    min_lr=3e-5,
    lr_decay_style="cosine",
    lr_warmup_iters=2000,
    weight_decay=0.1,
    adam_beta1=0.9,
    adam_beta2=0.95,
    adam_eps=1e-8,
    clip_grad=1.0,
)
