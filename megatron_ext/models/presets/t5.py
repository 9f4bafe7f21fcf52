"""T5 (arXiv:1910.10683, section 3.7): `--preset t5-small`, `--preset t5-base`, `--preset t5-large`, `--preset t5-3b`,
`--preset t5-11b`.

An encoder and a decoder of as many layers, relu, scores undivided, one table of distances in each half, the embedding as output
matrix behind a division by √width; dropout 0.1. Samples of 512 tokens, of which span corruption leaves about 114 to predict: 128
here, which more layouts divide. 2¹¹ samples a batch, 1 M updates, about 1 T tokens. The rate, 1/√max(n, 10⁴) at update n, is
Adafactor's; with another optimizer it means nothing, and is left out.
"""


def _size(layers: int, hidden: int, mlp: int, heads: int, width: int) -> dict:
    return dict(
        architecture="encoder_decoder",
        encoder_num_layers=layers,
        decoder_num_layers=layers,
        hidden_size=hidden,
        ffn_hidden_size=mlp,
        num_attention_heads=heads,
        kv_channels=width,
        encoder_seq_length=512,
        decoder_seq_length=128,
        normalization="rmsnorm",
        norm_epsilon=1e-6,
        activation="relu",
        position_embedding_type="t5_bias",
        relative_attention_num_buckets=32,
        relative_attention_max_distance=128,
        softmax_scale=1.0,
        logit_scale=hidden**-0.5,
        untie_embeddings_and_output_weights=False,
        hidden_dropout=0.1,
        attention_dropout=0.1,
        global_batch_size=2048,
        train_tokens=1_000_000 * 2048 * 640,
    )


PRESETS = {
    "t5_small": _size(6, 512, 2048, 8, 64),
    "t5_base": _size(12, 768, 3072, 12, 64),
    "t5_large": _size(24, 1024, 4096, 16, 64),
    "t5_3b": _size(24, 1024, 16384, 32, 128),
    "t5_11b": _size(24, 1024, 65536, 128, 128),
}
