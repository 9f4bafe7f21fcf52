"""Where norms stand around a sublayer f (attention or MLP), one file each. `--norm-placement`

A file offers

    BEFORE, AFTER       whether there is a norm on what goes in, and one on what comes out or on the sum
    FINAL               whether the last layer is followed by a norm of its own
    sublayer(x, f, before, after, add, config, alpha)     what x becomes

where alpha is deepnorm's weight of the residual, f gives `(output, bias or None)`, and `add((output, bias), residual)` adds bias,
dropout and the residual.
"""
