"""OLMo 2 (arXiv:2501.00656): norms behind the sublayers, and one on queries and keys over all heads together."""

from megatron_ext.checkpoint.conversion import llama_like
from megatron_ext.checkpoint.conversion.mapping import same

ARCHITECTURE = "Olmo2ForCausalLM"
DEFAULTS = {"rms_norm_eps": 1e-5}
TENSORS = llama_like.EMBEDDINGS | llama_like.ATTENTION | llama_like.MLP | {
    "decoder.layers.*.post_self_attn_layernorm": same("model.layers.*.post_attention_layernorm"),
    "decoder.layers.*.post_mlp_layernorm": same("model.layers.*.post_feedforward_layernorm"),
}  # fmt: skip


def flags(settings):
    flags = llama_like.flags(settings) | llama_like.biases(settings)
    return flags | {"norm_placement": "reordered", "qk_layernorm": True, "qk_layernorm_across_heads": True}


def config(values):
    return llama_like.config(values) | {"attention_bias": values["add_attention_output_bias"]}
