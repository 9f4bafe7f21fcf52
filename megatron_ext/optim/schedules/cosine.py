"""Cosine decay: ½(1 + cos πp) (arXiv:1608.03983). `--lr-decay-style cosine`"""

import math


def remaining(progress: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * progress))
