"""Cohere's Command R (huggingface.co/CohereForAI/c4ai-command-r-v01): attention and MLP side by side behind one norm."""

from megatron_ext.checkpoint.conversion import llama_like

ARCHITECTURE = "CohereForCausalLM"
DEFAULTS = {"max_position_embeddings": 8192}
TENSORS = llama_like.TENSORS


def flags(settings):
    settings.only("use_qk_norm", False)  # a norm with weights of its own for each head
    return llama_like.flags(settings, tied=True, base=None) | llama_like.biases(settings) | dict(
        normalization="layernorm",
        norm_bias=False,
        norm_epsilon=settings.get("layer_norm_eps", default=1e-5),
        rotary_interleaved=True,
        parallel_residual=True,
        share_parallel_norm=True,
        logit_scale=settings.get("logit_scale", default=0.0625),
    )  # fmt: skip


def config(values):
    keys = llama_like.config(values) | {"attention_bias": values["add_attention_output_bias"], "use_qk_norm": False}
    keys["layer_norm_eps"] = keys.pop("rms_norm_eps")
    return keys | {"logit_scale": 1.0 if values["logit_scale"] is None else values["logit_scale"]}
