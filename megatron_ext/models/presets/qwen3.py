"""Qwen 3 (arXiv:2505.09388, tables 1 and 2): `--preset qwen3-0.6b`, `--preset qwen3-1.7b`, `--preset qwen3-4b`,
`--preset qwen3-8b`, `--preset qwen3-14b`, `--preset qwen3-32b`, and with experts `--preset qwen3-30b-a3b`,
`--preset qwen3-235b-a22b`.

A norm on each head's queries and keys, heads of 128 whatever the width; the three smallest are tied. Samples of 4,096; 36 T
tokens, the last hundreds of billions of them in samples of 32,768 with `--rotary-base 1000000`, which the released weights need.
With experts: 128 in every layer, of which a token passes through 8, balanced over the global batch by a loss whose weight is not
published (`--moe-aux-loss-coeff`). Nor are batch, learning rate and schedule.
"""

_QWEN3 = dict(
    num_query_groups=8,
    kv_channels=128,
    seq_length=4096,
    normalization="rmsnorm",
    norm_epsilon=1e-6,
    qk_layernorm=True,
    activation="swiglu",
    position_embedding_type="rope",
    rotary_base=10000,
    add_bias_linear=False,
    untie_embeddings_and_output_weights=True,
    train_tokens=36_000_000_000_000,
)
_EXPERTS = dict(
    _QWEN3, num_query_groups=4, num_experts=128, moe_router_topk=8, moe_router_load_balancing_type=("global_aux_loss",)
)
_TIED = dict(_QWEN3, untie_embeddings_and_output_weights=False)

PRESETS = {
    "qwen3_0.6b": dict(_TIED, num_layers=28, hidden_size=1024, ffn_hidden_size=3072, num_attention_heads=16),
    "qwen3_1.7b": dict(_TIED, num_layers=28, hidden_size=2048, ffn_hidden_size=6144, num_attention_heads=16),
    "qwen3_4b": dict(_TIED, num_layers=36, hidden_size=2560, ffn_hidden_size=9728, num_attention_heads=32),
    "qwen3_8b": dict(_QWEN3, num_layers=36, hidden_size=4096, ffn_hidden_size=12288, num_attention_heads=32),
    "qwen3_14b": dict(_QWEN3, num_layers=40, hidden_size=5120, ffn_hidden_size=17408, num_attention_heads=40),
    "qwen3_32b": dict(_QWEN3, num_layers=64, hidden_size=5120, ffn_hidden_size=25600, num_attention_heads=64),
    "qwen3_30b_a3b": dict(
        _EXPERTS, num_layers=48, hidden_size=2048, ffn_hidden_size=6144, num_attention_heads=32, moe_ffn_hidden_size=768
    ),
    "qwen3_235b_a22b": dict(
        _EXPERTS, num_layers=94, hidden_size=4096, ffn_hidden_size=12288, num_attention_heads=64, moe_ffn_hidden_size=1536
    ),
}
