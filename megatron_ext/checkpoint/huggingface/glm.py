"""GLM-4 (arXiv:2406.12793): a Llama that rotates half of each head's channels, neighbours together, with biases on queries, keys
and values, and gate and value in one matrix."""

from megatron_ext.checkpoint.conversion import llama_like
from megatron_ext.checkpoint.conversion.mapping import gate_and_up_in_one

ARCHITECTURE = "GlmForCausalLM"
DEFAULTS = {"num_key_value_heads": 2, "head_dim": 128, "max_position_embeddings": 131072, "rms_norm_eps": 1.5625e-7}
TENSORS = llama_like.TENSORS | {"decoder.layers.*.mlp.linear_fc1": gate_and_up_in_one("model.layers.*.mlp.gate_up_proj")}


def flags(settings):
    return llama_like.flags(settings, share=0.5) | dict(
        rotary_interleaved=True,
        add_qkv_bias=settings.get("attention_bias", default=True),
    )


def config(values):
    keys = llama_like.config(values) | {"attention_bias": values["add_qkv_bias"]}
    keys["rope_parameters"]["partial_rotary_factor"] = values["rotary_percent"]
    return keys | {"partial_rotary_factor": values["rotary_percent"]}
