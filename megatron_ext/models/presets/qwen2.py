"""Qwen 2 (arXiv:2407.10671, table 1): `--preset qwen2-0.5b`, `--preset qwen2-1.5b`, `--preset qwen2-7b`, `--preset qwen2-72b`,
and with experts `--preset qwen2-57b-a14b`.

Biases in the projection of queries, keys and values alone; the two smallest are tied. Samples of 4,096; 7 T tokens, the 0.5B
12 T. At its end, training went on with samples of 32,768 and `--rotary-base 1000000`, which is what the released weights need.
With experts: 64 in every layer, of which a token passes through 8, weighted by a softmax over all, and a gated one shared by all
tokens, as wide as eight; 4.5 T tokens, beginning with the 7B's weights (upcycling). Batch, learning rate, schedule and the weight
of a balancing loss are not published.
"""

_QWEN2 = dict(
    seq_length=4096,
    normalization="rmsnorm",
    norm_epsilon=1e-6,
    activation="swiglu",
    position_embedding_type="rope",
    rotary_base=10000,
    add_bias_linear=False,
    add_qkv_bias=True,
    untie_embeddings_and_output_weights=True,
    train_tokens=7_000_000_000_000,
)

PRESETS = {
    "qwen2_0.5b": dict(
        _QWEN2,
        num_layers=24,
        hidden_size=896,
        ffn_hidden_size=4864,
        num_attention_heads=14,
        num_query_groups=2,
        untie_embeddings_and_output_weights=False,
        train_tokens=12_000_000_000_000,
    ),
    "qwen2_1.5b": dict(
        _QWEN2,
        num_layers=28,
        hidden_size=1536,
        ffn_hidden_size=8960,
        num_attention_heads=12,
        num_query_groups=2,
        untie_embeddings_and_output_weights=False,
    ),
    "qwen2_7b": dict(_QWEN2, num_layers=28, hidden_size=3584, ffn_hidden_size=18944, num_attention_heads=28, num_query_groups=4),
    "qwen2_72b": dict(_QWEN2, num_layers=80, hidden_size=8192, ffn_hidden_size=29568, num_attention_heads=64, num_query_groups=8),
    "qwen2_57b_a14b": dict(
        _QWEN2,
        num_layers=28,
        hidden_size=3584,
        ffn_hidden_size=18944,
        num_attention_heads=28,
        num_query_groups=4,
        num_experts=64,
        moe_router_topk=8,
        moe_router_pre_softmax=True,
        moe_ffn_hidden_size=2560,
        moe_shared_expert_intermediate_size=20480,
        moe_shared_expert_gate=True,
        train_tokens=4_500_000_000_000,
    ),
}
