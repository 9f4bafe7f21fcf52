"""Gemma 2 (arXiv:2408.00118): norms around each sublayer, every other layer a window, capped scores and logits."""

from megatron_ext.checkpoint.conversion import llama_like
from megatron_ext.checkpoint.conversion import settings as keys
from megatron_ext.checkpoint.conversion.mapping import same

ARCHITECTURE = "Gemma2ForCausalLM"
DEFAULTS = {"num_key_value_heads": 4, "max_position_embeddings": 8192, "sliding_window": 4096,
            "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}  # fmt: skip
TENSORS = llama_like.TENSORS | {
    "decoder.layers.*.post_self_attn_layernorm": same("model.layers.*.post_attention_layernorm"),
    "decoder.layers.*.pre_mlp_layernorm": same("model.layers.*.pre_feedforward_layernorm"),
    "decoder.layers.*.post_mlp_layernorm": same("model.layers.*.post_feedforward_layernorm"),
}


def flags(settings):
    in_turn = [("sliding_attention", "full_attention")[layer % 2] for layer in range(settings.get("num_hidden_layers"))]
    flags = llama_like.flags(settings, tied=True) | settings.window(True, in_turn)
    return flags | dict(
        kv_channels=settings.get("head_dim", default=256),
        activation=settings.activation("hidden_activation", "hidden_act", gated=True, default="gelu_pytorch_tanh"),
        apply_layernorm_1p=True,
        norm_placement="sandwich",
        add_qkv_bias=settings.get("attention_bias", default=False),
        add_attention_output_bias=settings.get("attention_bias", default=False),
        attn_logit_softcapping=settings.get("attn_logit_softcapping", default=None),
        final_logit_softcapping=settings.get("final_logit_softcapping", default=None),
        softmax_scale=settings.get("query_pre_attn_scalar", default=256) ** -0.5,
        embedding_scale=settings.get("hidden_size") ** 0.5,
    )


def config(values):
    scale = values["softmax_scale"]
    scalar = values["kv_channels"] if scale is None else scale**-2
    return llama_like.config(values) | {
        "hidden_activation": keys.activation(values["activation"], gated=True),
        "attention_bias": values["add_attention_output_bias"],
        "attn_logit_softcapping": values["attn_logit_softcapping"],
        "final_logit_softcapping": values["final_logit_softcapping"],
        "query_pre_attn_scalar": round(scalar) if abs(scalar - round(scalar)) < 1e-6 else scalar,
        "sliding_window": values["sliding_window"],
        "layer_types": keys.layer_types(values),
    }
