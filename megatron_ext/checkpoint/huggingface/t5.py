"""T5 (arXiv:1910.10683): an encoder and a decoder, distances by bucket in one table each, scores undivided, no biases.

Version 1.0 has relu and the embedding as output matrix, behind a division of its input by √d_model; version 1.1
(arXiv:2002.05202) a gated gelu, and a matrix of its own. transformers 4 tells the two by `tie_word_embeddings` alone;
transformers 5 always writes true there, and says `scale_decoder_outputs`: then the folder's tensors tell.
"""

import math

from megatron_ext.checkpoint.conversion import settings as keys
from megatron_ext.checkpoint.conversion.mapping import gate_and_up, key_value, qkv, same, stacked

ARCHITECTURE = "T5ForConditionalGeneration"
IGNORED = (r"^(en|de)coder\.embed_tokens\.weight$",)  # the embedding once more, in older folders
OUTPUT = "lm_head"
_BIAS = "layer.0.SelfAttention.relative_attention_bias"
ONE_TABLE = {"position_bias": stacked(f"encoder.block.0.{_BIAS}", f"decoder.block.0.{_BIAS}")}
TABLE_A_LAYER = {
    f"{half}.layers.*.self_attention.position_bias": same(f"{half}.block.*.{_BIAS}") for half in ("encoder", "decoder")
}


def tensors(values, biases=ONE_TABLE):
    gated = keys.activation(values["activation"], gated=True) is not None
    return {
        "embedding.word_embeddings": same("shared"),
        "output_layer": same(OUTPUT),
        **biases,
        **_stack("encoder", 1, gated),
        **_stack("decoder", 2, gated),
        "decoder.layers.*.cross_attention.linear_q": same("decoder.block.*.layer.1.EncDecAttention.q"),
        "decoder.layers.*.cross_attention.linear_kv": key_value(*(f"decoder.block.*.layer.1.EncDecAttention.{p}" for p in "kv")),
        "decoder.layers.*.cross_attention.linear_proj": same("decoder.block.*.layer.1.EncDecAttention.o"),
        "decoder.layers.*.pre_cross_attn_layernorm": same("decoder.block.*.layer.1.layer_norm"),
    }


def _stack(half: str, mlp: int, gated: bool):
    """Self-attention and MLP, sublayer number `mlp`, of the encoder or the decoder."""
    ours, attention, dense = f"{half}.layers.*", f"{half}.block.*.layer.0", f"{half}.block.*.layer.{mlp}"
    first = [f"{dense}.DenseReluDense.{name}" for name in (("wi_0", "wi_1") if gated else ("wi",))]
    return {
        f"{ours}.input_layernorm": same(f"{attention}.layer_norm"),
        f"{ours}.self_attention.linear_qkv": qkv(*(f"{attention}.SelfAttention.{part}" for part in "qkv")),
        f"{ours}.self_attention.linear_proj": same(f"{attention}.SelfAttention.o"),
        f"{ours}.pre_mlp_layernorm": same(f"{dense}.layer_norm"),
        f"{ours}.mlp.linear_fc1": (gate_and_up if gated else same)(*first),
        f"{ours}.mlp.linear_fc2": same(f"{dense}.DenseReluDense.wo"),
        f"{half}.final_layernorm": same(f"{half}.final_layer_norm"),
    }


def in_folder(settings, names):
    """What was saved with an output matrix of its own has one."""
    plain = settings.get("scale_decoder_outputs", default=True) is False
    return {"tie_word_embeddings": False} if plain and f"{OUTPUT}.weight" in names else {}


def flags(settings):
    tied = settings.get("tie_word_embeddings", default=True)
    return shared(settings, "relu", 6) | dict(
        untie_embeddings_and_output_weights=not tied,
        logit_scale=_scale(settings) if settings.get("scale_decoder_outputs", default=tied) else None,
    )


def _scale(settings):
    return settings.get("d_model", "hidden_size", default=512) ** -0.5


def shared(settings, activation: str, layers: int):
    """What UMT5 says in the same words, each with its class's default."""
    hidden, heads = settings.get("d_model", "hidden_size", default=512), settings.get("num_heads", default=8)
    layers, dropout = settings.get("num_layers", default=layers), settings.get("dropout_rate", default=0.1)
    proj = settings.get("feed_forward_proj", default=activation)
    gated, name = proj.startswith("gated-"), proj.removeprefix("gated-")
    name = "gelu_new" if proj == "gated-gelu" else name
    return dict(
        architecture="encoder_decoder",
        encoder_num_layers=layers,
        decoder_num_layers=settings.get("num_decoder_layers", default=layers),
        decoder_start_token_id=settings.get("decoder_start_token_id", default=0),
        hidden_size=hidden,
        ffn_hidden_size=settings.get("d_ff", default=2048),
        num_attention_heads=heads,
        kv_channels=settings.get("d_kv", default=64),
        max_position_embeddings=settings.get("n_positions", default=512),
        position_embedding_type="t5_bias",
        relative_attention_num_buckets=settings.get("relative_attention_num_buckets", default=32),
        relative_attention_max_distance=settings.get("relative_attention_max_distance", default=128),
        softmax_scale=1.0,
        normalization="rmsnorm",
        norm_epsilon=settings.get("layer_norm_epsilon", default=1e-6),
        activation=keys.Settings({"feed_forward_proj": name}, settings.path).activation("feed_forward_proj", gated=gated),
        hidden_dropout=dropout,
        attention_dropout=dropout,
        activation_dropout=dropout,
    )


def config(values):
    untied, scaled = values["untie_embeddings_and_output_weights"], values["logit_scale"] is not None
    if scaled and not math.isclose(values["logit_scale"], values["hidden_size"] ** -0.5):
        scaled = not scaled  # said to be what it is not: this class has no other scale
    return config_shared(values) | {"scale_decoder_outputs": scaled, "tie_word_embeddings": not untied}


def config_shared(values):
    gated = keys.activation(values["activation"], gated=True)
    plain = keys.activation(values["activation"], gated=False)
    return {
        "d_model": values["hidden_size"],
        "d_kv": values["kv_channels"],
        "d_ff": values["ffn_hidden_size"],
        "num_layers": values["encoder_num_layers"],
        "num_decoder_layers": values["decoder_num_layers"],
        "num_heads": values["num_attention_heads"],
        "n_positions": values["max_position_embeddings"],
        "relative_attention_num_buckets": values["relative_attention_num_buckets"],
        "relative_attention_max_distance": values["relative_attention_max_distance"],
        "layer_norm_epsilon": values["norm_epsilon"],
        "feed_forward_proj": ("gated-gelu" if gated == "gelu_pytorch_tanh" else f"gated-{gated}") if gated else plain,
        "dropout_rate": values["hidden_dropout"],
        "is_encoder_decoder": True,
    }
