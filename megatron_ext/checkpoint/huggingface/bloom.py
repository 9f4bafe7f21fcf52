"""BLOOM (arXiv:2211.05100): ALiBi, a norm on the embedding, biases everywhere."""

from megatron_ext.checkpoint.conversion.mapping import same

ARCHITECTURE = "BloomForCausalLM"
OPTIONAL_PREFIX = "transformer."
LAYERS = {
    "decoder.layers.*.input_layernorm": same("transformer.h.*.input_layernorm"),
    "decoder.layers.*.self_attention.linear_qkv": same("transformer.h.*.self_attention.query_key_value"),  # head by head
    "decoder.layers.*.self_attention.linear_proj": same("transformer.h.*.self_attention.dense"),
    "decoder.layers.*.pre_mlp_layernorm": same("transformer.h.*.post_attention_layernorm"),
    "decoder.layers.*.mlp.linear_fc1": same("transformer.h.*.mlp.dense_h_to_4h"),
    "decoder.layers.*.mlp.linear_fc2": same("transformer.h.*.mlp.dense_4h_to_h"),
}
TENSORS = LAYERS | {
    "embedding.word_embeddings": same("transformer.word_embeddings"),
    "embedding.norm": same("transformer.word_embeddings_layernorm"),
    "decoder.final_layernorm": same("transformer.ln_f"),
    "output_layer": same("lm_head"),
}


def flags(settings):
    hidden = settings.get("hidden_size", "n_embed", default=64)
    return dict(
        num_layers=settings.get("n_layer", "num_hidden_layers", default=2),
        hidden_size=hidden,
        ffn_hidden_size=4 * hidden,
        num_attention_heads=settings.get("n_head", "num_attention_heads", default=8),
        max_position_embeddings=settings.get("seq_length", default=2048),
        normalization="layernorm",
        norm_epsilon=settings.get("layer_norm_epsilon", default=1e-5),
        activation="gelu_tanh",
        position_embedding_type="alibi",
        embedding_norm=True,
        apply_residual_connection_post_layernorm=settings.get("apply_residual_connection_post_layernorm", default=False),
        add_bias_linear=True,
        untie_embeddings_and_output_weights=not settings.get("tie_word_embeddings", default=True),
        hidden_dropout=settings.get("hidden_dropout", default=0.0),
        attention_dropout=settings.get("attention_dropout", default=0.0),
        init_method_std=settings.get("initializer_range", default=0.02),
    )


def config(values):
    return {
        "n_layer": values["num_layers"],
        "hidden_size": values["hidden_size"],
        "n_head": values["num_attention_heads"],
        "seq_length": values["max_position_embeddings"],
        "layer_norm_epsilon": values["norm_epsilon"],
        "apply_residual_connection_post_layernorm": values["apply_residual_connection_post_layernorm"],
        "hidden_dropout": values["hidden_dropout"],
        "attention_dropout": values["attention_dropout"],
        "initializer_range": values["init_method_std"],
    }
