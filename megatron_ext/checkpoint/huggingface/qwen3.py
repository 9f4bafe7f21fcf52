"""Qwen 3 (arXiv:2505.09388): Llama with a norm on each head's queries and keys, whose width stands by itself."""

from megatron_ext.checkpoint.conversion import llama_like
from megatron_ext.checkpoint.huggingface import qwen2

ARCHITECTURE = "Qwen3ForCausalLM"
DEFAULTS = {"num_key_value_heads": 32, "max_position_embeddings": 32768, "sliding_window": 4096}
TENSORS = llama_like.TENSORS


def flags(settings):
    flags = llama_like.flags(settings) | llama_like.biases(settings) | qwen2.window(settings)
    return flags | {"qk_layernorm": True, "kv_channels": settings.get("head_dim", default=128)}


def config(values):
    return llama_like.config(values) | qwen2.window_keys(values) | {"attention_bias": values["add_attention_output_bias"]}
