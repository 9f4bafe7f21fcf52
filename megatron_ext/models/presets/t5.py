"""T5 (arXiv:1910.10683, section 3.7; shapes of github.com/google-research/t5x, examples/t5/t5_1_0 and t5_1_1):
`--preset t5-small`, `--preset t5-base`, `--preset t5-large`, `--preset t5-3b`, `--preset t5-11b`, and version 1.1
(arXiv:2002.05202; github.com/google-research/text-to-text-transfer-transformer, released_checkpoints.md)
`--preset t5-v1.1-small`, `--preset t5-v1.1-base`, `--preset t5-v1.1-large`, `--preset t5-v1.1-xl`, `--preset t5-v1.1-xxl`.

An encoder and a decoder of as many layers, relu, scores undivided, one table of distances in each half, the embedding as output
matrix behind a division by √width; dropout 0.1, though not behind the halves' last norms. Samples of 512 tokens, of which span
corruption leaves about 114 to predict: 128 here, which more layouts divide. 2¹¹ samples a batch, 1 M updates, about 1 T tokens in
the encoder. The rate, 1/√max(n, 10⁴) at update n, is Adafactor's; with another optimizer it means nothing, and is left out. The
released weights saw the tasks of the paper's section 3.5 beside C4, which are not here.

Version 1.1 has GeGLU, an output matrix of its own and no dropout, and saw C4 alone; its batch and updates are not published.
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
        position_embedding_type="t5_bias",
        relative_attention_num_buckets=32,
        relative_attention_max_distance=128,
        softmax_scale=1.0,
    )


def _first(*shape: int) -> dict:
    return dict(
        _size(*shape),
        activation="relu",
        logit_scale=shape[1] ** -0.5,
        untie_embeddings_and_output_weights=False,
        hidden_dropout=0.1,
        attention_dropout=0.1,
        activation_dropout=0.1,
        global_batch_size=2048,
        train_tokens=1_000_000 * 2048 * 640,
    )


def _v1_1(*shape: int) -> dict:
    return dict(
        _size(*shape),
        activation="geglu_tanh",
        untie_embeddings_and_output_weights=True,
        hidden_dropout=0.0,
        attention_dropout=0.0,
    )


PRESETS = {
    "t5_small": _first(6, 512, 2048, 8, 64),
    "t5_base": _first(12, 768, 3072, 12, 64),
    "t5_large": _first(24, 1024, 4096, 16, 64),
    "t5_3b": _first(24, 1024, 16384, 32, 128),
    "t5_11b": _first(24, 1024, 65536, 128, 128),
    "t5_v1.1_small": _v1_1(8, 512, 1024, 6, 64),
    "t5_v1.1_base": _v1_1(12, 768, 2048, 12, 64),
    "t5_v1.1_large": _v1_1(24, 1024, 2816, 16, 64),
    "t5_v1.1_xl": _v1_1(24, 2048, 5120, 32, 64),
    "t5_v1.1_xxl": _v1_1(24, 4096, 10240, 64, 64),
}
