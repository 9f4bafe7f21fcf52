"""Qwen 3 with experts (arXiv:2505.09388): Qwen 3 with experts in all layers, or but for some; a window in all or in none."""

from megatron_ext.checkpoint.conversion import experts, llama_like

ARCHITECTURE = "Qwen3MoeForCausalLM"
DEFAULTS = {"num_key_value_heads": 4, "max_position_embeddings": 32768, "sliding_window": 4096}
TENSORS = llama_like.TENSORS | experts.tensors("mlp")


def flags(settings):
    flags = llama_like.flags(settings) | llama_like.biases(settings) | experts.qwen(settings)
    flags |= settings.window(settings.get("use_sliding_window", default=False))
    return flags | {"qk_layernorm": True}


def config(values):
    keys = llama_like.config(values) | experts.qwen_keys(values) | {"attention_bias": values["add_attention_output_bias"]}
    if values["num_experts"] is not None:
        keys["num_local_experts"] = values["num_experts"]  # transformers 5's word; 4.57 reads num_experts
    return keys | {"use_sliding_window": values["sliding_window"] is not None, "sliding_window": values["sliding_window"]}
