"""Mistral 7B (arXiv:2310.06825): Llama with a sliding window in all layers, which later versions leave out."""

from megatron_ext.checkpoint.conversion import llama_like

ARCHITECTURE = "MistralForCausalLM"
DEFAULTS = {"num_key_value_heads": 8, "max_position_embeddings": 131072, "sliding_window": 4096}
TENSORS = llama_like.TENSORS


def flags(settings):
    return llama_like.flags(settings) | settings.window(uses=True)


def config(values):
    return llama_like.config(values) | {"sliding_window": values["sliding_window"]}
