"""Sandwich norm: x + norm₂(f(norm₁(x))) (CogView, arXiv:2105.13290; Gemma 2, arXiv:2408.00118). `--norm-placement sandwich`"""

BEFORE, AFTER, FINAL = True, True, True


def sublayer(x, f, before, after, add, config, alpha):
    return add((after(with_bias(f(before(x)))), None), x)


def with_bias(found):
    """A sublayer's output with the bias that megatron-core leaves to be added later."""
    output, bias = found
    return output if bias is None else output + bias
