"""Qwen 1.5 and 2 with experts (arXiv:2407.10671): Qwen 2 whose experts are weighed by a softmax over all of them, beside shared
ones with a gate."""

from megatron_ext.checkpoint.conversion import experts, llama_like
from megatron_ext.checkpoint.conversion.mapping import same

ARCHITECTURE = "Qwen2MoeForCausalLM"
DEFAULTS = {"num_key_value_heads": 16, "max_position_embeddings": 32768}
TENSORS = llama_like.TENSORS | experts.tensors("mlp") | experts.shared("shared_expert") | {
    "decoder.layers.*.mlp.shared_experts.gate_weight": same("model.layers.*.mlp.shared_expert_gate.weight"),
}  # fmt: skip


def flags(settings):
    settings.only("use_sliding_window", False)  # which layers it is for, transformers 4 and 5 do not agree on
    flags = llama_like.flags(settings) | experts.qwen(settings) | {"add_qkv_bias": settings.get("qkv_bias", default=True)}
    if "num_experts" not in flags:
        return flags
    return flags | dict(
        moe_shared_expert_intermediate_size=settings.get("shared_expert_intermediate_size"), moe_shared_expert_gate=True
    )


def config(values):
    keys = (
        llama_like.config(values) | experts.qwen_keys(values) | {"qkv_bias": values["add_qkv_bias"], "use_sliding_window": False}
    )
    if values["num_experts"] is not None:
        keys["shared_expert_intermediate_size"] = values["moe_shared_expert_intermediate_size"]
    return keys
