"""StarCoder's GPTBigCode (arXiv:2301.03988): GPT-2 with one head of keys and values for all queries, matrices not transposed."""

from megatron_ext.checkpoint.conversion.mapping import same
from megatron_ext.checkpoint.huggingface import gpt2

ARCHITECTURE = "GPTBigCodeForCausalLM"
OPTIONAL_PREFIX, IGNORED = gpt2.OPTIONAL_PREFIX, gpt2.IGNORED
TENSORS = gpt2.OUTER | {
    "decoder.layers.*.self_attention.linear_qkv": same("transformer.h.*.attn.c_attn"),  # by groups already
    "decoder.layers.*.self_attention.linear_proj": same("transformer.h.*.attn.c_proj"),
    "decoder.layers.*.mlp.linear_fc1": same("transformer.h.*.mlp.c_fc"),
    "decoder.layers.*.mlp.linear_fc2": same("transformer.h.*.mlp.c_proj"),
}


def flags(settings):
    flags = gpt2.flags(settings)
    groups = 1 if settings.get("multi_query", default=True) else flags["num_attention_heads"]
    activation = settings.activation("activation_function", gated=False, default="gelu_pytorch_tanh")
    return flags | {"num_query_groups": groups, "activation": activation}


def config(values):
    return gpt2.config(values) | {"multi_query": values["num_query_groups"] == 1}
