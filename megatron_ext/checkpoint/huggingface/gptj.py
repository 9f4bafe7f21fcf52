"""GPT-J (github.com/kingoflolz/mesh-transformer-jax): attention and MLP side by side behind one norm, neighbours rotated."""

from megatron_ext.checkpoint.conversion.mapping import qkv, same
from megatron_ext.checkpoint.huggingface import gpt2

ARCHITECTURE = "GPTJForCausalLM"
IGNORED = gpt2.IGNORED
TENSORS = {
    "embedding.word_embeddings": same("transformer.wte"),
    "decoder.final_layernorm": same("transformer.ln_f"),
    "output_layer": same("lm_head"),
    "decoder.layers.*.input_layernorm": same("transformer.h.*.ln_1"),
    "decoder.layers.*.self_attention.linear_qkv": qkv(*(f"transformer.h.*.attn.{part}_proj" for part in "qkv")),
    "decoder.layers.*.self_attention.linear_proj": same("transformer.h.*.attn.out_proj"),
    "decoder.layers.*.mlp.linear_fc1": same("transformer.h.*.mlp.fc_in"),
    "decoder.layers.*.mlp.linear_fc2": same("transformer.h.*.mlp.fc_out"),
}


def flags(settings):
    sizes = gpt2.shared(settings, layers=28, hidden=4096, heads=16, positions=2048, dropout=0.0, tied=False)
    return sizes | dict(
        position_embedding_type="rope",
        rotary_percent=settings.get("rotary_dim", default=64) / (sizes["hidden_size"] // sizes["num_attention_heads"]),
        rotary_interleaved=True,
        parallel_residual=True,
        share_parallel_norm=True,
        add_mlp_bias=True,
        add_output_bias=True,
    )


def config(values):
    return gpt2.config(values) | {"rotary_dim": int(values["kv_channels"] * values["rotary_percent"])}
