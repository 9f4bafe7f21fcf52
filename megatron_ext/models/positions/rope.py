"""Rotary positions: channel pairs (i, i + d/2) of queries and keys are turned by m · base^(−2i/d) at position m.

arXiv:2104.09864. Only the first `--rotary-percent` of a head's channels is rotated, with latent attention
its last `--qk-pos-emb-head-dim`. `--position-embedding-type rope`
"""


def gpt_arguments(flags) -> dict:
    percent = flags.rotary_percent
    if flags.multi_latent_attention:
        percent = (flags.qk_pos_emb_head_dim + 0.5) / flags.kv_channels  # megatron-core rounds down to channels
    return {"position_embedding_type": "rope", "rotary_percent": percent, "rotary_base": flags.rotary_base}
