"""UMT5 (arXiv:2304.09151): T5 1.1 with a table of distances in each layer.

transformers 5 always ties the output matrix to the embedding and divides its input by √d_model, whatever config.json says; what
transformers 4 wrote with `tie_word_embeddings` false has neither.
"""

from megatron_ext.checkpoint.huggingface import t5

ARCHITECTURE = "UMT5ForConditionalGeneration"
IGNORED = t5.IGNORED


def tensors(values):
    return t5.tensors(values, t5.TABLE_A_LAYER)


def flags(settings):
    tied = settings.get("tie_word_embeddings", default=True)
    return t5.shared(settings, "gated-gelu", 8) | dict(
        num_attention_heads=settings.get("num_heads", default=6),
        ffn_hidden_size=settings.get("d_ff", default=1024),
        relative_attention_bias_per_layer=True,
        untie_embeddings_and_output_weights=not tied,
        logit_scale=settings.get("d_model", "hidden_size", default=512) ** -0.5 if tied else None,
    )


def config(values):
    return t5.config_shared(values)
