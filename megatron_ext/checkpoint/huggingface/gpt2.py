"""GPT-2 (Radford et al. 2019): learned positions, LayerNorm, biases everywhere; its matrices lie transposed (Conv1D)."""

from megatron_ext.checkpoint.conversion import settings as keys
from megatron_ext.checkpoint.conversion.mapping import same, stacked_qkv, transposed

ARCHITECTURE = "GPT2LMHeadModel"
OPTIONAL_PREFIX = "transformer."
IGNORED = (r"\.attn\.(masked_)?bias$",)  # the causal mask, a buffer of older folders
OUTER = {
    "embedding.word_embeddings": same("transformer.wte"),
    "embedding.position_embeddings": same("transformer.wpe"),
    "decoder.final_layernorm": same("transformer.ln_f"),
    "output_layer": same("lm_head"),
    "decoder.layers.*.input_layernorm": same("transformer.h.*.ln_1"),
    "decoder.layers.*.pre_mlp_layernorm": same("transformer.h.*.ln_2"),
}
TENSORS = OUTER | {
    "decoder.layers.*.self_attention.linear_qkv": stacked_qkv("transformer.h.*.attn.c_attn", transposed=True),
    "decoder.layers.*.self_attention.linear_proj": transposed("transformer.h.*.attn.c_proj"),
    "decoder.layers.*.mlp.linear_fc1": transposed("transformer.h.*.mlp.c_fc"),
    "decoder.layers.*.mlp.linear_fc2": transposed("transformer.h.*.mlp.c_proj"),
}


def flags(settings):
    for key, plain in (("scale_attn_weights", True), ("scale_attn_by_inverse_layer_idx", False), ("add_cross_attention", False)):
        settings.only(key, plain)
    sizes = shared(settings, layers=12, hidden=768, heads=12, positions=1024, dropout=0.1, tied=True)
    return sizes | dict(position_embedding_type="learned_absolute", add_bias_linear=True)


def shared(settings, layers: int, hidden: int, heads: int, positions: int, dropout: float, tied: bool):
    """What GPT-J says in the same words, each with its class's default."""
    hidden = settings.get("n_embd", "hidden_size", default=hidden)
    after, embedding = (settings.get(key, default=dropout) for key in ("resid_pdrop", "embd_pdrop"))
    if embedding != after:
        settings.refuse("embd_pdrop", embedding, f"there is {after}, resid_pdrop's")
    return dict(
        num_layers=settings.get("n_layer", "num_hidden_layers", default=layers),
        hidden_size=hidden,
        ffn_hidden_size=settings.get("n_inner", default=4 * hidden),
        num_attention_heads=settings.get("n_head", "num_attention_heads", default=heads),
        max_position_embeddings=settings.get("n_positions", "max_position_embeddings", default=positions),
        normalization="layernorm",
        norm_epsilon=settings.get("layer_norm_epsilon", default=1e-5),
        activation=settings.activation("activation_function", gated=False, default="gelu_new"),
        untie_embeddings_and_output_weights=not settings.get("tie_word_embeddings", default=tied),
        hidden_dropout=after,
        attention_dropout=settings.get("attn_pdrop", default=dropout),
        init_method_std=settings.get("initializer_range", default=0.02),
    )


def config(values):
    return {
        "n_layer": values["num_layers"],
        "n_embd": values["hidden_size"],
        "n_inner": None if values["ffn_hidden_size"] == 4 * values["hidden_size"] else values["ffn_hidden_size"],
        "n_head": values["num_attention_heads"],
        "n_positions": values["max_position_embeddings"],
        "layer_norm_epsilon": values["norm_epsilon"],
        "activation_function": keys.activation(values["activation"], gated=False),
        "resid_pdrop": values["hidden_dropout"],
        "embd_pdrop": values["hidden_dropout"],
        "attn_pdrop": values["attention_dropout"],
        "initializer_range": values["init_method_std"],
    }
