"""Linear decay: 1 − p. `--lr-decay-style linear`"""


def remaining(progress: float) -> float:
    return 1.0 - progress
