"""Qwen 2 and 2.5 (arXiv:2407.10671, 2412.15115): Llama with biases on queries, keys and values; a window in the upper layers."""

from megatron_ext.checkpoint.conversion import llama_like
from megatron_ext.checkpoint.conversion.settings import layer_types

ARCHITECTURE = "Qwen2ForCausalLM"
DEFAULTS = {"num_key_value_heads": 32, "max_position_embeddings": 32768, "sliding_window": 4096}
TENSORS = llama_like.TENSORS


def window(settings):
    """Layers from `max_window_layers` on have the window, where it is used at all."""
    layers, first = settings.get("num_hidden_layers"), settings.get("max_window_layers", default=28)
    uses = settings.get("use_sliding_window", default=False)
    types = ["sliding_attention" if uses and layer >= first else "full_attention" for layer in range(layers)]
    return settings.window(uses, types)


def window_keys(values):
    types, size = layer_types(values), values["sliding_window"]
    first = types.index("sliding_attention") if "sliding_attention" in types else len(types)
    return {"use_sliding_window": size is not None, "sliding_window": size, "max_window_layers": first, "layer_types": types}


def flags(settings):
    return llama_like.flags(settings) | {"add_qkv_bias": True} | window(settings)


def config(values):
    return llama_like.config(values) | window_keys(values)
