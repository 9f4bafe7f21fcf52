"""Post-norm: norm(x + f(x)) (arXiv:1706.03762, BERT). `--norm-placement post`"""

BEFORE, AFTER, FINAL = False, True, False


def sublayer(x, f, before, after, add, config, alpha):
    return after(add(f(x), x))
