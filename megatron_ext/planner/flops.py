"""FLOPs of training: 6 a matrix parameter and token (forward 2, backward 4), plus attention's 12·L·heads·d·s.

The convention of PaLM's appendix B (arXiv:2204.02311): attention is counted without the causal half, recomputation is
not counted, so the share of the peak is MFU, not HFU. The embedding's look-up costs nothing, the output matrix does, once
more for each layer of multi-token prediction. In a layer
with a sliding window, s is the window; in transformer_xl, which has a third product (queries with distances), a segment and its
memory, whose distances are projected once a micro-batch and not counted. In latent attention d is the mean of the widths of a
head's keys and values. A model of an encoder and a decoder has two kinds of tokens, and what is said of one is their mean: the
decoder's pass through its layers and the output, the encoder's through its own and through the projections to keys and values
that each layer of the decoder has of them.
"""

from __future__ import annotations

from megatron_ext.models.architecture_flags import lengths
from megatron_ext.models.attention.latent_flags import latent
from megatron_ext.planner.parameters import across, count, heads, keys_and_values, of_distances


def training_flops_per_token(model, vocab_size: int) -> float:
    """FLOPs to train on one token; `model` is the model group of a configuration."""
    if model.architecture == "encoder_decoder":
        return _of_two_stacks(model, vocab_size)
    counted, further = count(model, vocab_size), model.mtp_num_layers or 0
    matrices = (
        counted.active_layers
        + (1 + further) * vocab_size * model.hidden_size
        + heads(model)
        - model.num_layers * of_distances(model)
    )
    patterns = model.attention_pattern
    seen = sum(
        min(model.sliding_window, model.seq_length) if patterns[layer % len(patterns)] == "sliding_window" else model.seq_length
        for layer in range(model.num_layers + further)
    )
    if model.position_embedding_type == "transformer_xl":
        seen = model.num_layers * 1.5 * min(model.segment_length + model.memory_length, model.seq_length)
    sizes = latent(model)
    widths = 2 * model.kv_channels if sizes is None else sizes.width + sizes.value
    return 6.0 * matrices + 6 * model.num_attention_heads * widths * seen


def _of_two_stacks(model, vocab_size: int) -> float:
    first, second = lengths(model)
    encoders, decoders = model.encoder_num_layers, model.decoder_num_layers
    looks, kept = across(model), model.hidden_size * keys_and_values(model)
    layer = (count(model, vocab_size).active_layers - decoders * looks) / model.num_layers
    matrices = first * (encoders * layer + decoders * kept)
    matrices += second * (decoders * (layer + looks - kept) + vocab_size * model.hidden_size)
    pairs = encoders * first * first + decoders * second * (second + first)  # of a query and a key
    return (6.0 * matrices + 12 * model.num_attention_heads * model.kv_channels * pairs) / (first + second)
