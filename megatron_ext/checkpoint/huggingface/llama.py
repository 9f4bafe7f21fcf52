"""Llama 1 to 3 (arXiv:2302.13971, 2307.09288, 2407.21783): RMSNorm, SwiGLU, RoPE, grouped queries."""

from megatron_ext.checkpoint.conversion import llama_like

ARCHITECTURE = "LlamaForCausalLM"
TENSORS = llama_like.TENSORS


def flags(settings):
    return llama_like.flags(settings) | llama_like.biases(settings)


def config(values):
    return llama_like.config(values) | {"attention_bias": values["add_attention_output_bias"], "mlp_bias": values["add_mlp_bias"]}
