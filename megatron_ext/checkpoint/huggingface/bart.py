"""BART (arXiv:1910.13461): an encoder and a decoder, post-norm, learned positions and a norm on the embedding in each, biases
everywhere. Its tables of positions have two rows before the first that nothing looks up.
"""

from megatron_ext.checkpoint.conversion import settings as keys
from megatron_ext.checkpoint.conversion.mapping import joined_positions, key_value, qkv, same

ARCHITECTURE = "BartForConditionalGeneration"
LEARNT = {"objective": "denoising", "mask_token": "<mask>"}
# The embedding once more, in older folders; a buffer of zeros that no training changes.
IGNORED = (r"^model\.(en|de)coder\.embed_tokens\.weight$", r"^final_logits_bias$")
_OFFSET = 2


def _stack(half: str):
    ours, theirs = f"{half}.layers.*", f"model.{half}.layers.*"
    return {
        f"{ours}.self_attention.linear_qkv": qkv(*(f"{theirs}.self_attn.{part}_proj" for part in "qkv")),
        f"{ours}.self_attention.linear_proj": same(f"{theirs}.self_attn.out_proj"),
        f"{ours}.post_self_attn_layernorm": same(f"{theirs}.self_attn_layer_norm"),
        f"{ours}.mlp.linear_fc1": same(f"{theirs}.fc1"),
        f"{ours}.mlp.linear_fc2": same(f"{theirs}.fc2"),
        f"{ours}.post_mlp_layernorm": same(f"{theirs}.final_layer_norm"),
    }


_ACROSS, _LOOKS = "decoder.layers.*.cross_attention", "model.decoder.layers.*.encoder_attn"
TENSORS = {
    "embedding.word_embeddings": same("model.shared"),
    "embedding.position_embeddings": joined_positions(
        "model.encoder.embed_positions", "model.decoder.embed_positions", before=_OFFSET
    ),
    "embedding.norm": same("model.encoder.layernorm_embedding"),
    "embedding.decoder_norm": same("model.decoder.layernorm_embedding"),
    "output_layer": same("lm_head"),
    **_stack("encoder"),
    **_stack("decoder"),
    f"{_ACROSS}.linear_q": same(f"{_LOOKS}.q_proj"),
    f"{_ACROSS}.linear_kv": key_value(f"{_LOOKS}.k_proj", f"{_LOOKS}.v_proj"),
    f"{_ACROSS}.linear_proj": same(f"{_LOOKS}.out_proj"),
    "decoder.layers.*.post_cross_attn_layernorm": same(f"{_LOOKS}_layer_norm"),
}


def flags(settings):
    sizes = {}
    for name, default in (("attention_heads", 16), ("ffn_dim", 4096)):
        sizes[name] = settings.get(f"encoder_{name}", default=default)
        if (found := settings.get(f"decoder_{name}", default=default)) != sizes[name]:
            settings.refuse(f"decoder_{name}", found, f"there is {sizes[name]}, as in the encoder")
    hidden = settings.get("d_model", "hidden_size", default=1024)
    return dict(
        architecture="encoder_decoder",
        encoder_num_layers=settings.get("encoder_layers", "num_hidden_layers", default=12),
        decoder_num_layers=settings.get("decoder_layers", default=12),
        decoder_start_token_id=settings.get("decoder_start_token_id", default=2),
        hidden_size=hidden,
        num_attention_heads=sizes["attention_heads"],
        ffn_hidden_size=sizes["ffn_dim"],
        max_position_embeddings=settings.get("max_position_embeddings", default=1024),
        position_embedding_type="learned_absolute",
        normalization="layernorm",
        norm_epsilon=1e-5,
        norm_placement="post",
        embedding_norm=True,
        embedding_scale=hidden**0.5 if settings.get("scale_embedding", default=False) else None,
        activation=settings.activation("activation_function", gated=False, default="gelu"),
        add_bias_linear=True,
        untie_embeddings_and_output_weights=not settings.get("tie_word_embeddings", default=True),
        hidden_dropout=settings.get("dropout", default=0.1),
        attention_dropout=settings.get("attention_dropout", default=0.0),
        activation_dropout=settings.get("activation_dropout", default=0.0),
        init_method_std=settings.get("init_std", default=0.02),
    )


def config(values):
    found = {
        "encoder_layers": values["encoder_num_layers"],
        "decoder_layers": values["decoder_num_layers"],
        "d_model": values["hidden_size"],
        "max_position_embeddings": values["max_position_embeddings"],
        "activation_function": keys.activation(values["activation"], gated=False),
        "scale_embedding": values["embedding_scale"] is not None,
        "dropout": values["hidden_dropout"],
        "attention_dropout": values["attention_dropout"],
        "activation_dropout": values["activation_dropout"],
        "init_std": values["init_method_std"],
        "is_encoder_decoder": True,
    }
    for half in ("encoder", "decoder"):
        found[f"{half}_attention_heads"], found[f"{half}_ffn_dim"] = values["num_attention_heads"], values["ffn_hidden_size"]
    return found
