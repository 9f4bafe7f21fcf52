"""GPT-NeoX and Pythia (arXiv:2204.06745, 2304.01373): attention and MLP side by side, a part of each head rotated."""

from megatron_ext.checkpoint.conversion import settings as keys
from megatron_ext.checkpoint.conversion.mapping import same

ARCHITECTURE = "GPTNeoXForCausalLM"
IGNORED = (r"\.attention\.(masked_)?bias$",)
TENSORS = {
    "embedding.word_embeddings": same("gpt_neox.embed_in"),
    "decoder.final_layernorm": same("gpt_neox.final_layer_norm"),
    "output_layer": same("embed_out"),
    "decoder.layers.*.input_layernorm": same("gpt_neox.layers.*.input_layernorm"),
    "decoder.layers.*.self_attention.linear_qkv": same("gpt_neox.layers.*.attention.query_key_value"),  # head by head
    "decoder.layers.*.self_attention.linear_proj": same("gpt_neox.layers.*.attention.dense"),
    "decoder.layers.*.pre_mlp_layernorm": same("gpt_neox.layers.*.post_attention_layernorm"),
    "decoder.layers.*.mlp.linear_fc1": same("gpt_neox.layers.*.mlp.dense_h_to_4h"),
    "decoder.layers.*.mlp.linear_fc2": same("gpt_neox.layers.*.mlp.dense_4h_to_h"),
}


def flags(settings):
    attention_bias = settings.get("attention_bias", default=True)
    return dict(
        num_layers=settings.get("num_hidden_layers"),
        hidden_size=settings.get("hidden_size"),
        ffn_hidden_size=settings.get("intermediate_size"),
        num_attention_heads=settings.get("num_attention_heads"),
        max_position_embeddings=settings.get("max_position_embeddings", default=2048),
        normalization="layernorm",
        norm_epsilon=settings.get("layer_norm_eps", default=1e-5),
        activation=settings.activation("hidden_act", gated=False, default="gelu"),
        parallel_residual=settings.get("use_parallel_residual", default=True),
        add_bias_linear=attention_bias,
        add_mlp_bias=True,
        untie_embeddings_and_output_weights=not settings.get("tie_word_embeddings", default=False),
        hidden_dropout=settings.get("hidden_dropout", default=0.0),
        attention_dropout=settings.get("attention_dropout", default=0.0),
        init_method_std=settings.get("initializer_range", default=0.02),
        **settings.rotary(share=0.25, base_keys=("rotary_emb_base", "rope_theta")),
    )


def config(values):
    return keys.rotary(values) | {
        "num_hidden_layers": values["num_layers"],
        "hidden_size": values["hidden_size"],
        "intermediate_size": values["ffn_hidden_size"],
        "num_attention_heads": values["num_attention_heads"],
        "max_position_embeddings": values["max_position_embeddings"],
        "layer_norm_eps": values["norm_epsilon"],
        "hidden_act": keys.activation(values["activation"], gated=False),
        "use_parallel_residual": values["parallel_residual"],
        "attention_bias": values["add_attention_output_bias"],
        "hidden_dropout": values["hidden_dropout"],
        "attention_dropout": values["attention_dropout"],
        "initializer_range": values["init_method_std"],
        "rotary_pct": values["rotary_percent"],
        "rotary_emb_base": values["rotary_base"],
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": float(values["rotary_base"]),
            "partial_rotary_factor": values["rotary_percent"],
        },
    }
