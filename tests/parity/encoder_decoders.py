"""Small encoder-decoders of transformers', as families.py has decoders, with more layers on one side."""

from __future__ import annotations

from tests.parity.families import VOCAB

T5 = dict(
    vocab_size=VOCAB, d_model=48, d_kv=10, d_ff=80, num_layers=3, num_decoder_layers=2, num_heads=6, dropout_rate=0.0,
    relative_attention_num_buckets=10, relative_attention_max_distance=13, decoder_start_token_id=3, attn_implementation="eager",
)  # fmt: skip


def t5():
    """Distances by bucket in a table each, scores undivided, heads wider than hidden / heads, tied, logits over √d_model."""
    import transformers

    return transformers.T5ForConditionalGeneration(transformers.T5Config(**T5, feed_forward_proj="relu"))


def t5_v1_1():
    """A gated MLP, an output matrix of its own, logits as they are."""
    import torch
    import transformers

    config = transformers.T5Config(**T5, feed_forward_proj="gated-gelu", tie_word_embeddings=False)
    model = transformers.T5ForConditionalGeneration(config)
    model.lm_head.weight = torch.nn.Parameter(
        torch.randn(VOCAB, 48) / 7
    )  # this version of transformers ties it until it is loaded
    return model


def ul2():
    """A gated SiLU, tied; config.json has the keys of google/ul2."""
    import transformers

    config = transformers.T5Config(**T5, feed_forward_proj="gated-silu", n_positions=40, output_past=True)
    return transformers.T5ForConditionalGeneration(config)


def umt5():
    """A table of distances in each layer."""
    import transformers

    return transformers.UMT5ForConditionalGeneration(transformers.UMT5Config(**T5))


def bart():
    """Post-norm, learned positions and norms on the embedding of its own in each half, a scaled embedding, biases everywhere."""
    import transformers

    config = transformers.BartConfig(
        vocab_size=VOCAB, d_model=48, encoder_layers=2, decoder_layers=3, encoder_ffn_dim=80, decoder_ffn_dim=80, dropout=0.0,
        encoder_attention_heads=6, decoder_attention_heads=6, max_position_embeddings=20, scale_embedding=True, pad_token_id=None,
        activation_dropout=0.1, attn_implementation="eager")  # fmt: skip
    return transformers.BartForConditionalGeneration(config)


ENCODER_DECODERS = (t5, t5_v1_1, ul2, umt5, bart)
