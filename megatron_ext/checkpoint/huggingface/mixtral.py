"""Mixtral 8×7B and 8×22B (arXiv:2401.04088): Mistral with experts in all layers, weighed by a softmax over the chosen."""

from megatron_ext.checkpoint.conversion import experts, llama_like

ARCHITECTURE = "MixtralForCausalLM"
DEFAULTS = {"num_key_value_heads": 8, "max_position_embeddings": 131072, "rms_norm_eps": 1e-5}
TENSORS = llama_like.EMBEDDINGS | llama_like.ATTENTION | llama_like.NORMS | experts.tensors("block_sparse_moe", "w1", "w3", "w2")


def flags(settings):
    settings.only("router_jitter_noise", 0.0)
    flags = llama_like.flags(settings, base=1e6) | settings.window(uses=True) | experts.softmax(settings, normalised=True)
    return flags | {"moe_ffn_hidden_size": settings.get("intermediate_size")}


def config(values):
    return llama_like.config(values) | experts.softmax_keys(values) | {
        "num_local_experts": values["num_experts"] or 0,
        "intermediate_size": values["moe_ffn_hidden_size"] or values["ffn_hidden_size"],
        "sliding_window": values["sliding_window"],
    }  # fmt: skip
