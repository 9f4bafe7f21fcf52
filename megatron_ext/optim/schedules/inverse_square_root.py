"""Inverse square root: peak · √(w / t), w the end of the warm-up (arXiv:1706.03762, T5). `--lr-decay-style inverse_square_root`

Never below the least rate, which it falls to at the end of the decay.
"""


def rate(position: int, way) -> float:
    if position > way.decay:
        return way.least
    return max(way.least, way.peak * (max(way.warmup, 1) / position) ** 0.5)
