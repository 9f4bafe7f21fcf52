"""FLOPs of training: 6 a matrix parameter and token (forward 2, backward 4), plus attention's 12·L·heads·d·s.

The convention of PaLM's appendix B (arXiv:2204.02311): attention is counted without the causal half, recomputation is
not counted, so the share of the peak is MFU, not HFU. The embedding's look-up costs nothing, the output matrix does.
"""

from __future__ import annotations

from megatron_ext.planner.parameters import count


def training_flops_per_token(model, vocab_size: int) -> float:
    """FLOPs to train on one token; `model` is the model group of a configuration."""
    counted = count(model, vocab_size)
    matrices = counted.active_layers + vocab_size * model.hidden_size
    attention = 12 * model.num_layers * model.num_attention_heads * model.kv_channels * model.seq_length
    return 6.0 * matrices + attention
