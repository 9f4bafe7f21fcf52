"""Linear decay: 1 − p of the way from the least rate to the peak. `--lr-decay-style linear`"""


def rate(position: int, way) -> float:
    return way.between(1.0 - way.progress(position))
