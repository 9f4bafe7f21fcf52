"""UL2 20B (arXiv:2205.05131, section 5; the shape from the released configuration, huggingface.co/google/ul2):
`--preset ul2-20b`.

T5's architecture with SwiGLU and 16 wide heads, tied, learning seven kinds of denoising. Samples of 512 tokens in the encoder and
512 in the decoder, 1,024 a batch, 2 M updates: 1 T tokens in the encoder, of which there are twice as many counted here, with
the decoder's. No dropout. The rate, an inverse square root, is Adafactor's, and left out.
"""

PRESETS = {
    "ul2_20b": dict(
        architecture="encoder_decoder",
        objective="mixture_of_denoisers",
        encoder_num_layers=32,
        decoder_num_layers=32,
        hidden_size=4096,
        ffn_hidden_size=16384,
        num_attention_heads=16,
        kv_channels=256,
        encoder_seq_length=512,
        decoder_seq_length=512,
        normalization="rmsnorm",
        norm_epsilon=1e-6,
        activation="swiglu",
        position_embedding_type="t5_bias",
        relative_attention_num_buckets=32,
        relative_attention_max_distance=128,
        softmax_scale=1.0,
        logit_scale=4096**-0.5,
        untie_embeddings_and_output_weights=False,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        global_batch_size=1024,
        train_tokens=2_000_000 * 1024 * 1024,
    )
}
