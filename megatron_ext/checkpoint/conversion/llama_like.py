"""What most families share with Llama: keys of config.json, and names of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from megatron_ext.checkpoint.conversion import settings as keys
from megatron_ext.checkpoint.conversion.mapping import gate_and_up, qkv, same
from megatron_ext.checkpoint.conversion.settings import Settings

EMBEDDINGS = {
    "embedding.word_embeddings": same("model.embed_tokens"),
    "decoder.final_layernorm": same("model.norm"),
    "output_layer": same("lm_head"),
}
ATTENTION = {
    "decoder.layers.*.self_attention.linear_qkv": qkv(*(f"model.layers.*.self_attn.{part}_proj" for part in "qkv")),
    "decoder.layers.*.self_attention.linear_proj": same("model.layers.*.self_attn.o_proj"),
    "decoder.layers.*.self_attention.q_layernorm": same("model.layers.*.self_attn.q_norm"),
    "decoder.layers.*.self_attention.k_layernorm": same("model.layers.*.self_attn.k_norm"),
}
NORMS = {
    "decoder.layers.*.input_layernorm": same("model.layers.*.input_layernorm"),
    "decoder.layers.*.pre_mlp_layernorm": same("model.layers.*.post_attention_layernorm"),
}
MLP = {
    "decoder.layers.*.mlp.linear_fc1": gate_and_up("model.layers.*.mlp.gate_proj", "model.layers.*.mlp.up_proj"),
    "decoder.layers.*.mlp.linear_fc2": same("model.layers.*.mlp.down_proj"),
}
TENSORS = EMBEDDINGS | ATTENTION | NORMS | MLP


def flags(settings: Settings, tied: bool = False, base: float | None = 10000.0, share: float | None = None) -> dict[str, Any]:
    """Where config.json does not say: `tied`: the output matrix is the embedding's; `base`, `share`: of the rotation."""
    hidden, heads = settings.get("hidden_size"), settings.get("num_attention_heads")
    return dict(
        num_layers=settings.get("num_hidden_layers"),
        hidden_size=hidden,
        ffn_hidden_size=settings.get("intermediate_size"),
        num_attention_heads=heads,
        num_query_groups=settings.get("num_key_value_heads", default=heads),
        kv_channels=settings.get("head_dim", default=hidden // heads),
        max_position_embeddings=settings.get("max_position_embeddings", default=2048),
        normalization="rmsnorm",
        norm_epsilon=settings.get("rms_norm_eps", default=1e-6),
        activation=settings.activation("hidden_act", gated=True, default="silu"),
        untie_embeddings_and_output_weights=not settings.get("tie_word_embeddings", default=tied),
        attention_dropout=settings.get("attention_dropout", default=0.0),
        init_method_std=settings.get("initializer_range", default=0.02),
        **settings.rotary(share=share, base=base),
    )


def biases(settings: Settings) -> dict[str, Any]:
    """`attention_bias` puts one on queries, keys, values and attention's output; `mlp_bias` in the MLP."""
    attention = settings.get("attention_bias", default=False)
    mlp = settings.get("mlp_bias", default=False)
    return dict(add_qkv_bias=attention, add_attention_output_bias=attention, add_mlp_bias=mlp)


def config(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "hidden_size": values["hidden_size"],
        "intermediate_size": values["ffn_hidden_size"],
        "num_hidden_layers": values["num_layers"],
        "num_attention_heads": values["num_attention_heads"],
        "num_key_value_heads": values["num_query_groups"],
        "head_dim": values["kv_channels"],
        "hidden_act": keys.activation(values["activation"], gated=True),
        "max_position_embeddings": values["max_position_embeddings"],
        "rms_norm_eps": values["norm_epsilon"],
        "attention_dropout": values["attention_dropout"],
        "initializer_range": values["init_method_std"],
        **keys.rotary(values),
    }
