"""No decay: the peak is kept after the warm-up. `--lr-decay-style constant`"""


def remaining(progress: float) -> float:
    return 1.0
