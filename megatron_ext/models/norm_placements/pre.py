"""Pre-norm: x + f(norm(x)) (arXiv:2002.04745, GPT-2, LLaMA). `--norm-placement pre`

With `--apply-residual-connection-post-layernorm` the residual is the normed input: norm(x) + f(norm(x)).
"""

BEFORE, AFTER, FINAL = True, False, True


def sublayer(x, f, before, after, add, config, alpha):
    normed = before(x)
    return add(f(normed), normed if config.residual_from_norm else x)
