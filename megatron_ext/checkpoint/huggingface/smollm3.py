"""SmolLM 3 (huggingface.co/blog/smollm3): Llama with rotary positions in some layers; here in all of them or in none."""

from megatron_ext.checkpoint.conversion import llama_like
from megatron_ext.checkpoint.conversion.settings import layer_types

ARCHITECTURE = "SmolLM3ForCausalLM"
DEFAULTS = {"num_key_value_heads": 4, "max_position_embeddings": 32768}
TENSORS = llama_like.TENSORS


def flags(settings):
    layers, every = settings.get("num_hidden_layers"), settings.get("no_rope_layer_interval", default=4)
    rotated = settings.get("no_rope_layers", default=None) or [int((layer + 1) % every != 0) for layer in range(layers)]
    if len(set(rotated)) > 1:
        settings.refuse("no_rope_layers", rotated, "positions are rotated in all layers (1) or in none (0)")
    flags = llama_like.flags(settings, tied=True, base=2e6) | llama_like.biases(settings)
    flags |= settings.window(settings.get("use_sliding_window", default=False))
    if not rotated[0]:
        del flags["rotary_base"], flags["rotary_percent"]
        flags["position_embedding_type"] = "none"
    return flags


def config(values):
    keys = llama_like.config(values) | {"attention_bias": values["add_attention_output_bias"], "mlp_bias": values["add_mlp_bias"]}
    keys |= {"use_sliding_window": values["sliding_window"] is not None, "sliding_window": values["sliding_window"]}
    return keys | {
        "layer_types": layer_types(values),
        "no_rope_layers": [int(values["position_embedding_type"] == "rope")] * values["num_layers"],
    }
