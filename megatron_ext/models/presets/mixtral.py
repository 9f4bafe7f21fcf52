"""Mixtral (arXiv:2401.04088, table 1; the 8×22B as released): `--preset mixtral-8x7b`, `--preset mixtral-8x22b`.

Mistral with 8 experts in every layer, of which a token passes through 2, and no window; samples of 32,768 (8×22B: 65,536). Tokens
trained, batch, learning rate and the weight of a balancing loss are not published.
"""

_MIXTRAL = dict(
    num_query_groups=8,
    num_experts=8,
    moe_router_topk=2,
    normalization="rmsnorm",
    norm_epsilon=1e-5,
    activation="swiglu",
    position_embedding_type="rope",
    rotary_base=1000000,
    add_bias_linear=False,
    untie_embeddings_and_output_weights=True,
)

PRESETS = {
    "mixtral_8x7b": dict(
        _MIXTRAL, num_layers=32, hidden_size=4096, ffn_hidden_size=14336, num_attention_heads=32, seq_length=32768
    ),
    "mixtral_8x22b": dict(
        _MIXTRAL, num_layers=56, hidden_size=6144, ffn_hidden_size=16384, num_attention_heads=48, seq_length=65536
    ),
}
