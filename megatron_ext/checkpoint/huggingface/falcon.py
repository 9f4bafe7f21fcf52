"""Falcon (arXiv:2311.16867): 7B side by side with one norm and one head of keys, 40B and 180B with two norms and groups,
RW one after the other with ALiBi, whose bias is scaled like the scores."""

from megatron_ext.checkpoint.conversion import settings as keys
from megatron_ext.checkpoint.conversion.mapping import same
from megatron_ext.checkpoint.huggingface import bloom

ARCHITECTURE = "FalconForCausalLM"
TENSORS = bloom.LAYERS | {
    "embedding.word_embeddings": same("transformer.word_embeddings"),
    "decoder.final_layernorm": same("transformer.ln_f"),
    "output_layer": same("lm_head"),
}
TWO_NORMS = TENSORS | {
    "decoder.layers.*.input_layernorm": same("transformer.h.*.ln_attn"),
    "decoder.layers.*.pre_mlp_layernorm": same("transformer.h.*.ln_mlp"),
}


def tensors(values):
    """40B's norms have names of their own."""
    return TWO_NORMS if values["parallel_residual"] and not values["share_parallel_norm"] else TENSORS


def flags(settings):
    hidden, heads = settings.get("hidden_size", default=4544), settings.get("num_attention_heads", "n_head", default=71)
    new = settings.get("new_decoder_architecture", default=False)
    parallel = new or settings.get("parallel_attn", default=True)
    one_key = settings.get("multi_query", default=True)
    two_norms = new and settings.get("num_ln_in_parallel_attn", default=2) == 2
    alibi = settings.get("alibi", default=False)
    return dict(
        num_layers=settings.get("num_hidden_layers", "n_layer", default=32),
        hidden_size=hidden,
        ffn_hidden_size=settings.get("ffn_hidden_size", default=4 * hidden),
        num_attention_heads=heads,
        num_query_groups=settings.get("num_kv_heads", "n_head_kv", default=heads) if new else 1 if one_key else heads,
        max_position_embeddings=settings.get("max_position_embeddings", default=2048),
        normalization="layernorm",
        norm_epsilon=settings.get("layer_norm_epsilon", default=1e-5),
        activation=settings.activation("activation", gated=False, default="gelu"),
        parallel_residual=parallel,
        share_parallel_norm=parallel and not two_norms,
        add_bias_linear=settings.get("bias", default=False),
        untie_embeddings_and_output_weights=not settings.get("tie_word_embeddings", default=True),
        hidden_dropout=settings.get("hidden_dropout", default=0.0),
        attention_dropout=settings.get("attention_dropout", default=0.0),
        init_method_std=settings.get("initializer_range", default=0.02),
        **({"position_embedding_type": "alibi", "alibi_scale_by_head_dim": True} if alibi else settings.rotary()),
    )


def config(values):
    groups, heads = values["num_query_groups"], values["num_attention_heads"]
    two_norms = values["parallel_residual"] and not values["share_parallel_norm"]
    new = two_norms or (values["parallel_residual"] and groups not in (1, heads))
    alibi = values["position_embedding_type"] == "alibi"
    return ({} if alibi else keys.rotary(values)) | {
        "num_hidden_layers": values["num_layers"],
        "hidden_size": values["hidden_size"],
        "ffn_hidden_size": values["ffn_hidden_size"],
        "num_attention_heads": heads,
        "num_kv_heads": groups if new else heads,
        "multi_query": groups == 1,
        "new_decoder_architecture": new,
        "num_ln_in_parallel_attn": (2 if two_norms else 1) if new else None,
        "parallel_attn": values["parallel_residual"],
        "max_position_embeddings": values["max_position_embeddings"],
        "layer_norm_epsilon": values["norm_epsilon"],
        "activation": keys.activation(values["activation"], gated=False),
        "alibi": alibi,
        "bias": values["add_bias_linear"],
        "hidden_dropout": values["hidden_dropout"],
        "attention_dropout": values["attention_dropout"],
        "initializer_range": values["init_method_std"],
    }
