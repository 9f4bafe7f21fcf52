"""Against megatron-core's fused bias + gelu, which Megatron-LM's default activation runs."""

import torch

from megatron_ext.models.activations import gelu, gelu_tanh


def test_it_is_what_megatron_core_fuses_and_near_the_exact_form():
    from megatron.core.fusions.fused_bias_gelu import bias_gelu

    x = torch.linspace(-6, 6, 1001, dtype=torch.float64)
    with torch.compiler.set_stance("force_eager"):  # what it computes, and not how it is compiled, which takes half a minute
        theirs = bias_gelu(torch.zeros(1001, dtype=torch.float64), x)
    ours = gelu_tanh.FUNCTION(x)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-8)  # theirs has √(2/π) to 8 digits
    difference = (ours - gelu.FUNCTION(x)).abs().max()
    assert 1e-4 < difference < 5e-4
