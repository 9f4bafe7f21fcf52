"""MPT (mosaicml.com/blog/mpt-7b): ALiBi, no bias anywhere, in norms neither."""

from megatron_ext.checkpoint.conversion.mapping import same, stacked_qkv

ARCHITECTURE = "MptForCausalLM"
TENSORS = {
    "embedding.word_embeddings": same("transformer.wte"),
    "decoder.final_layernorm": same("transformer.norm_f"),
    "output_layer": same("lm_head"),
    "decoder.layers.*.input_layernorm": same("transformer.blocks.*.norm_1"),
    "decoder.layers.*.self_attention.linear_qkv": stacked_qkv("transformer.blocks.*.attn.Wqkv"),
    "decoder.layers.*.self_attention.linear_proj": same("transformer.blocks.*.attn.out_proj"),
    "decoder.layers.*.pre_mlp_layernorm": same("transformer.blocks.*.norm_2"),
    "decoder.layers.*.mlp.linear_fc1": same("transformer.blocks.*.ffn.up_proj"),
    "decoder.layers.*.mlp.linear_fc2": same("transformer.blocks.*.ffn.down_proj"),
}
_PLAIN = {"no_bias": True, "norm_type": "low_precision_layernorm", "logit_scale": None, "embedding_fraction": 1.0}
_PLAIN_ATTENTION = {"attn_type": "multihead_attention", "alibi": True, "alibi_bias_max": 8, "clip_qkv": None, "qk_ln": False,
                    "prefix_lm": False, "attn_uses_sequence_id": False}  # fmt: skip


def flags(settings):
    attention = settings.get("attn_config", default={})
    for key, plain in _PLAIN.items():
        settings.only(key, plain)
    for key, plain in _PLAIN_ATTENTION.items():
        settings.only(key, plain, of=attention)
    hidden, dropout = settings.get("d_model", "hidden_size", default=2048), settings.get("resid_pdrop", default=0.0)
    settings.only("emb_pdrop", dropout)
    return dict(
        num_layers=settings.get("n_layers", "num_hidden_layers", default=24),
        hidden_size=hidden,
        ffn_hidden_size=settings.get("expansion_ratio", default=4) * hidden,
        num_attention_heads=settings.get("n_heads", "num_attention_heads", default=16),
        max_position_embeddings=settings.get("max_seq_len", default=2048),
        softmax_scale=attention.get("softmax_scale"),
        normalization="layernorm",
        norm_bias=False,
        norm_epsilon=settings.get("layer_norm_epsilon", default=1e-5),
        activation="gelu",
        position_embedding_type="alibi",
        untie_embeddings_and_output_weights=not settings.get("tie_word_embeddings", default=True),
        hidden_dropout=dropout,
        attention_dropout=attention.get("attn_pdrop", 0.0),
        init_method_std=settings.get("initializer_range", default=0.02),
    )


def config(values):
    return _PLAIN | {
        "n_layers": values["num_layers"],
        "d_model": values["hidden_size"],
        "expansion_ratio": values["ffn_hidden_size"] // values["hidden_size"],
        "n_heads": values["num_attention_heads"],
        "max_seq_len": values["max_position_embeddings"],
        "layer_norm_epsilon": values["norm_epsilon"],
        "resid_pdrop": values["hidden_dropout"],
        "emb_pdrop": values["hidden_dropout"],
        "initializer_range": values["init_method_std"],
        "attn_config": _PLAIN_ATTENTION
        | {"softmax_scale": values["softmax_scale"], "attn_pdrop": _whole(values["attention_dropout"])},
    }


def _whole(share):
    """transformers' check of types takes no 0.0 here."""
    return int(share) if share == int(share) else share
