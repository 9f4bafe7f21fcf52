"""LLaMA 2 (arXiv:2307.09288, table 1 and section 2.2): `--preset llama2-7b`, `--preset llama2-13b`, `--preset llama2-70b`.

Batch 4 M tokens = 1,024 samples of 4,096; learning rate 3e-4 (70B: 1.5e-4), 2,000 steps of warm-up, cosine to a tenth; 2.0 T
tokens. The 70B shares keys and values among 8 heads. The MLP's widths are those of the released weights.
"""

_LLAMA2 = dict(
    seq_length=4096,
    normalization="rmsnorm",
    norm_epsilon=1e-5,
    activation="swiglu",
    position_embedding_type="rope",
    rotary_base=10000,
    add_bias_linear=False,
    untie_embeddings_and_output_weights=True,
    global_batch_size=1024,
    train_tokens=2_000_000_000_000,
    lr=3e-4,
    lr_decay_style="cosine",
    lr_warmup_iters=2000,
    weight_decay=0.1,
    adam_beta1=0.9,
    adam_beta2=0.95,
    adam_eps=1e-5,
    clip_grad=1.0,
)

PRESETS = {
    "llama2_7b": dict(_LLAMA2, num_layers=32, hidden_size=4096, ffn_hidden_size=11008, num_attention_heads=32),
    "llama2_13b": dict(_LLAMA2, num_layers=40, hidden_size=5120, ffn_hidden_size=13824, num_attention_heads=40),
    "llama2_70b": dict(
        _LLAMA2, num_layers=80, hidden_size=8192, ffn_hidden_size=28672, num_attention_heads=64, num_query_groups=8, lr=1.5e-4
    ),
}
