"""GPT-3, 174.6 B parameters (arXiv:2005.14165, table 2.1 and appendix B). `--preset gpt3-175b`

Batch 3.2 M tokens, here 1,536 samples of 2,048 (3.1 M), which more layouts divide; learning rate 0.6e-4, cosine to 10 %
over 260 B tokens, warm-up 375 M tokens; 300 B tokens. The paper grows the batch from 32 k tokens over the first 4 to 12 B.
"""

PRESET = dict(
    num_layers=96,
    hidden_size=12288,
    ffn_hidden_size=49152,
    num_attention_heads=96,
    seq_length=2048,
    normalization="layernorm",
    norm_epsilon=1e-5,
    activation="gelu",
    position_embedding_type="learned_absolute",
    add_bias_linear=True,
    untie_embeddings_and_output_weights=False,
    global_batch_size=1536,
    train_tokens=300_000_000_000,
    lr=0.6e-4,
    min_lr=0.6e-5,
    lr_decay_style="cosine",
    lr_decay_iters=82652,
    lr_warmup_iters=119,
    weight_decay=0.1,
    adam_beta1=0.9,
    adam_beta2=0.95,
    adam_eps=1e-8,
    clip_grad=1.0,
)
