"""GLM-4-0414 (huggingface.co/zai-org/GLM-4-9B-0414): GLM-4 with norms behind the sublayers, too."""

from megatron_ext.checkpoint.conversion.mapping import same
from megatron_ext.checkpoint.huggingface import glm

ARCHITECTURE = "Glm4ForCausalLM"
DEFAULTS = glm.DEFAULTS
TENSORS = glm.TENSORS | {
    "decoder.layers.*.post_self_attn_layernorm": same("model.layers.*.post_self_attn_layernorm"),
    "decoder.layers.*.post_mlp_layernorm": same("model.layers.*.post_mlp_layernorm"),
}
config = glm.config


def flags(settings):
    return glm.flags(settings) | {"norm_placement": "sandwich"}
