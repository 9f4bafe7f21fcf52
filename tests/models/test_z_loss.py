"""The z-loss against torch.logsumexp: its value, and its gradient beside the cross entropy's, also with a vocabulary in parts."""

from __future__ import annotations

import pytest
import torch

VOCABULARY, ROWS, LENGTH, COEFFICIENT = 24, 2, 5, 0.3


def penalised(launch, fused: bool, logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor):
    """`(nats, z-loss, gradient of this process's part of the logits)`."""
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    size = launch.world_size
    argv = f"--preset tiny --mock-data --vocab-size {VOCABULARY} --device cpu --tensor-model-parallel-size {size}".split()
    with processes(launch, read_configuration(argv, size)):
        from megatron.core import parallel_state, tensor_parallel
        from megatron.core.fusions.fused_cross_entropy import fused_vocab_parallel_cross_entropy

        from megatron_ext.models import z_loss

        group = parallel_state.get_tensor_model_parallel_group()
        plain = tensor_parallel.vocab_parallel_cross_entropy
        wanted = labels.T.contiguous()

        def cross_entropy(own):
            return (fused_vocab_parallel_cross_entropy(own, wanted, group) if fused else plain(own, wanted)).T

        own = (
            logits.transpose(0, 1).chunk(size, dim=-1)[launch.rank].clone(memory_format=torch.contiguous_format).requires_grad_()
        )
        nats, penalty = z_loss.penalised(cross_entropy, labels, own * 1, COEFFICIENT)
        (nats * weights).sum().backward()
        return nats.detach(), penalty, own.grad.transpose(0, 1)


@pytest.mark.parametrize(("fused", "size"), [(False, 1), (False, 2), (True, 2)])
def test_is_the_square_of_logsumexp(fused, size, pool):
    torch.manual_seed(0)
    logits, labels = 5 * torch.randn(ROWS, LENGTH, VOCABULARY), torch.randint(VOCABULARY, (ROWS, LENGTH))
    weights = torch.rand(ROWS, LENGTH)
    found = pool.run(penalised, size, fused, logits, labels, weights)
    ours = logits.clone().requires_grad_()
    nats = torch.nn.functional.cross_entropy(ours.flatten(0, 1), labels.flatten(), reduction="none").view_as(labels)
    penalty = COEFFICIENT * torch.logsumexp(ours, dim=-1).square()
    ((nats + penalty) * weights).sum().backward()
    for theirs in found:
        torch.testing.assert_close(theirs[0], nats.detach())
        torch.testing.assert_close(theirs[1], penalty.detach(), rtol=1e-5, atol=1e-5)
    gradient = torch.cat([theirs[2] for theirs in found], dim=-1)
    within = dict(rtol=1e-2, atol=1e-2) if fused else dict(rtol=1e-4, atol=1e-5)  # the fused one's gradient is bfloat16
    torch.testing.assert_close(gradient, ours.grad, **within)
