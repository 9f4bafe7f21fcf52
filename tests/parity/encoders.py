"""Small encoders of transformers', as families.py has decoders."""

from __future__ import annotations

from tests.parity.families import SMALL

BERT = dict(
    **SMALL,
    intermediate_size=80,
    max_position_embeddings=30,
    type_vocab_size=3,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    pad_token_id=None,
)  # fmt: skip; a pad's embedding would get no gradient there


def bert():
    """Post-norm, a norm on the embedding, types of tokens, heads for masked words and for sentences."""
    import transformers

    return transformers.BertForPreTraining(transformers.BertConfig(**BERT))


def megatron_bert():
    """The same with the norms before the sublayers."""
    import transformers

    return transformers.MegatronBertForPreTraining(transformers.MegatronBertConfig(**BERT))


ENCODERS = (bert, megatron_bert)
