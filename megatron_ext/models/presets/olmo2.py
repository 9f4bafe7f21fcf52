"""OLMo 2 (arXiv:2501.00656, table 3): `--preset olmo2-7b`, `--preset olmo2-13b`, `--preset olmo2-32b`.

Norms behind the sublayers, and one on queries and keys over all heads together. The first stage of pre-training: batch 4.2 M
tokens = 1,024 samples of 4,096 (13B and 32B: 2,048), learning rates 3e-4, 9e-4 and 6e-4, 2,000 steps of warm-up, cosine to a
tenth over 5 T tokens (32B: 6.5 T), cut off at 3.9 T, 5 T and 6 T. The second stage, linear to 0 over some 100 B tokens of better
text, is not here.

The paper has no weight decay on the embedding, adds log²Z of the softmax to the loss at 1e-5, and starts every matrix at
N(0, 0.02²), those that write to the residual too.
"""

SEQUENCE = 4096


def _size(batch: int, tokens: float, decay: float, **fields) -> dict:
    """`batch` in samples; tokens trained, and over which the cosine goes."""
    common = dict(
        seq_length=SEQUENCE,
        normalization="rmsnorm",
        norm_epsilon=1e-6,
        norm_placement="reordered",
        qk_layernorm=True,
        qk_layernorm_across_heads=True,
        activation="swiglu",
        position_embedding_type="rope",
        rotary_base=500000,
        add_bias_linear=False,
        untie_embeddings_and_output_weights=True,
        init_method_std=0.02,
        global_batch_size=batch,
        train_tokens=int(tokens),
        lr_decay_style="cosine",
        lr_decay_iters=round(decay / (batch * SEQUENCE)),
        lr_warmup_iters=2000,
        weight_decay=0.1,
        adam_beta1=0.9,
        adam_beta2=0.95,
        adam_eps=1e-8,
        clip_grad=1.0,
    )
    return dict(common, **fields)


PRESETS = {
    "olmo2_7b": _size(
        1024, 3.9e12, 5e12, num_layers=32, hidden_size=4096, ffn_hidden_size=11008, num_attention_heads=32, lr=3e-4
    ),
    "olmo2_13b": _size(2048, 5e12, 5e12, num_layers=40, hidden_size=5120, ffn_hidden_size=13824, num_attention_heads=40, lr=9e-4),
    "olmo2_32b": _size(
        2048,
        6e12,
        6.5e12,
        num_layers=64,
        hidden_size=5120,
        ffn_hidden_size=27648,
        num_attention_heads=40,
        num_query_groups=8,
        lr=6e-4,
    ),
}
