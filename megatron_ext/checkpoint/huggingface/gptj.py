"""GPT-J (github.com/kingoflolz/mesh-transformer-jax): attention and MLP side by side behind one norm, neighbours rotated."""

from megatron_ext.checkpoint.conversion import settings as keys
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
    hidden, heads = settings.get("n_embd", "hidden_size", default=4096), settings.get("n_head", "num_attention_heads", default=16)
    dropout = settings.get("resid_pdrop", default=0.0)
    settings.only("embd_pdrop", dropout)
    return dict(
        num_layers=settings.get("n_layer", "num_hidden_layers", default=28),
        hidden_size=hidden,
        ffn_hidden_size=settings.get("n_inner", default=4 * hidden),
        num_attention_heads=heads,
        max_position_embeddings=settings.get("n_positions", "max_position_embeddings", default=2048),
        normalization="layernorm",
        norm_epsilon=settings.get("layer_norm_epsilon", default=1e-5),
        activation=settings.activation("activation_function", gated=False, default="gelu_new"),
        position_embedding_type="rope",
        rotary_percent=settings.get("rotary_dim", default=64) / (hidden // heads),
        rotary_interleaved=True,
        parallel_residual=True,
        share_parallel_norm=True,
        add_mlp_bias=True,
        add_output_bias=True,
        untie_embeddings_and_output_weights=not settings.get("tie_word_embeddings", default=False),
        hidden_dropout=dropout,
        attention_dropout=settings.get("attn_pdrop", default=0.0),
        init_method_std=settings.get("initializer_range", default=0.02),
    )


def config(values):
    return {
        "n_layer": values["num_layers"],
        "n_embd": values["hidden_size"],
        "n_inner": values["ffn_hidden_size"],
        "n_head": values["num_attention_heads"],
        "n_positions": values["max_position_embeddings"],
        "rotary_dim": int(values["kv_channels"] * values["rotary_percent"]),
        "layer_norm_epsilon": values["norm_epsilon"],
        "activation_function": keys.activation(values["activation"], gated=False),
        "resid_pdrop": values["hidden_dropout"],
        "embd_pdrop": values["hidden_dropout"],
        "attn_pdrop": values["attention_dropout"],
        "initializer_range": values["init_method_std"],
    }
