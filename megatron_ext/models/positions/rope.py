"""Rotary positions: channel pairs (i, i + d/2) of queries and keys are turned by m · base^(−2i/d) at position m.

arXiv:2104.09864. Only the first `--rotary-percent` of a head's channels is rotated. `--position-embedding-type rope`
"""


def gpt_arguments(flags) -> dict:
    return {"position_embedding_type": "rope", "rotary_percent": flags.rotary_percent, "rotary_base": flags.rotary_base}
