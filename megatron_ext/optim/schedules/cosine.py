"""Cosine decay: ½(1 + cos πp) of the way from the least rate to the peak (arXiv:1608.03983). `--lr-decay-style cosine`"""

import math


def rate(position: int, way) -> float:
    return way.between(0.5 * (1.0 + math.cos(math.pi * way.progress(position))))
