"""LLaMA (arXiv:2302.13971, table 2): `--preset llama-7b`, `--preset llama-13b`, `--preset llama-33b`, `--preset llama-65b`.

Batch 4 M tokens = 2,048 samples of 2,048; learning rate 3e-4 (33B and 65B: 1.5e-4), 2,000 steps of warm-up, cosine to a tenth;
1.0 T tokens (33B and 65B: 1.4 T). The MLP's widths and the norm's ε are those of the released weights: the paper gives the rule,
2/3 · 4 · hidden, rounded up to a multiple of 256.
"""

_LLAMA = dict(
    seq_length=2048,
    normalization="rmsnorm",
    norm_epsilon=1e-6,
    activation="swiglu",
    position_embedding_type="rope",
    rotary_base=10000,
    add_bias_linear=False,
    untie_embeddings_and_output_weights=True,
    global_batch_size=2048,
    lr_decay_style="cosine",
    lr_warmup_iters=2000,
    weight_decay=0.1,
    adam_beta1=0.9,
    adam_beta2=0.95,
    clip_grad=1.0,
)
_SHORT = dict(_LLAMA, train_tokens=1_000_000_000_000, lr=3e-4)
_LONG = dict(_LLAMA, train_tokens=1_400_000_000_000, lr=1.5e-4)

PRESETS = {
    "llama_7b": dict(_SHORT, num_layers=32, hidden_size=4096, ffn_hidden_size=11008, num_attention_heads=32),
    "llama_13b": dict(_SHORT, num_layers=40, hidden_size=5120, ffn_hidden_size=13824, num_attention_heads=40),
    "llama_33b": dict(_LONG, num_layers=60, hidden_size=6656, ffn_hidden_size=17920, num_attention_heads=52),
    "llama_65b": dict(_LONG, num_layers=80, hidden_size=8192, ffn_hidden_size=22016, num_attention_heads=64, norm_epsilon=1e-5),
}
