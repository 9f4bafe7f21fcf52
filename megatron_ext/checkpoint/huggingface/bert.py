"""BERT (arXiv:1810.04805): post-norm, learned positions, two types of tokens, a norm on the embedding, biases everywhere, and the
heads that it was trained by: masked words, and whether a sentence follows the other.
"""

from megatron_ext.checkpoint.conversion import settings as keys
from megatron_ext.checkpoint.conversion.mapping import qkv, same

ARCHITECTURE = "BertForPreTraining"
# The output matrix's bias once more; a buffer of older folders.
IGNORED = (r"^cls\.predictions\.decoder\.bias$", r"\.position_ids$")
_BINARY = "has_binary_head"  # no key of theirs
_LAYER = "bert.encoder.layer.*"
ATTENTION = {
    "encoder.layers.*.self_attention.linear_qkv": qkv(*(f"{_LAYER}.attention.self.{part}" for part in ("query", "key", "value"))),
    "encoder.layers.*.self_attention.linear_proj": same(f"{_LAYER}.attention.output.dense"),
    "encoder.layers.*.mlp.linear_fc1": same(f"{_LAYER}.intermediate.dense"),
    "encoder.layers.*.mlp.linear_fc2": same(f"{_LAYER}.output.dense"),
}
OUTER = {
    "embedding.word_embeddings": same("bert.embeddings.word_embeddings"),
    "embedding.position_embeddings": same("bert.embeddings.position_embeddings"),
    "embedding.tokentype_embeddings": same("bert.embeddings.token_type_embeddings"),
    "lm_head.dense": same("cls.predictions.transform.dense"),
    "lm_head.norm": same("cls.predictions.transform.LayerNorm"),
    "output_layer": same("cls.predictions.decoder"),
    "output_layer.bias": same("cls.predictions.bias"),
    "binary_head.pooler": same("bert.pooler.dense"),
    "binary_head.output": same("cls.seq_relationship"),
}
TENSORS = ATTENTION | OUTER | {
    "embedding.norm": same("bert.embeddings.LayerNorm"),
    "encoder.layers.*.post_self_attn_layernorm": same(f"{_LAYER}.attention.output.LayerNorm"),
    "encoder.layers.*.post_mlp_layernorm": same(f"{_LAYER}.output.LayerNorm"),
}  # fmt: skip


def in_folder(settings, names):
    """A BertForMaskedLM has masked words alone."""
    return {_BINARY: "cls.seq_relationship.weight" in names}


def flags(settings):
    return shared(settings, layers=12, hidden=768, heads=12, mlp=3072) | dict(norm_placement="post", embedding_norm=True)


def shared(settings, layers: int, hidden: int, heads: int, mlp: int):
    """What Megatron's BERT says in the same words, each with its class's default."""
    for key in ("is_decoder", "add_cross_attention"):
        settings.only(key, False)
    settings.only("position_embedding_type", "absolute")
    return dict(
        architecture="encoder",
        bert_binary_head=settings.get(_BINARY, default=True),
        num_tokentypes=settings.get("type_vocab_size", default=2),
        num_layers=settings.get("num_hidden_layers", default=layers),
        hidden_size=settings.get("hidden_size", default=hidden),
        num_attention_heads=settings.get("num_attention_heads", default=heads),
        ffn_hidden_size=settings.get("intermediate_size", default=mlp),
        max_position_embeddings=settings.get("max_position_embeddings", default=512),
        position_embedding_type="learned_absolute",
        normalization="layernorm",
        norm_epsilon=settings.get("layer_norm_eps", default=1e-12),
        activation=settings.activation("hidden_act", gated=False, default="gelu"),
        add_bias_linear=True,
        add_output_bias=True,
        untie_embeddings_and_output_weights=not settings.get("tie_word_embeddings", default=True),
        hidden_dropout=settings.get("hidden_dropout_prob", default=0.1),
        attention_dropout=settings.get("attention_probs_dropout_prob", default=0.1),
        init_method_std=settings.get("initializer_range", default=0.02),
    )


def config(values):
    return {
        _BINARY: values["bert_binary_head"],
        "type_vocab_size": values["num_tokentypes"],
        "num_hidden_layers": values["num_layers"],
        "hidden_size": values["hidden_size"],
        "num_attention_heads": values["num_attention_heads"],
        "intermediate_size": values["ffn_hidden_size"],
        "max_position_embeddings": values["max_position_embeddings"],
        "layer_norm_eps": values["norm_epsilon"],
        "hidden_act": keys.activation(values["activation"], gated=False),
        "hidden_dropout_prob": values["hidden_dropout"],
        "attention_probs_dropout_prob": values["attention_dropout"],
        "initializer_range": values["init_method_std"],
    }
