"""The z-loss (PaLM, arXiv:2204.02311, section 5): loss += c · log² Z for each token that is predicted, Z = Σ exp(logit) over the
vocabulary. It keeps log Z near 0, where rounding in 16 bits is finest. PaLM's c is 1e-4. `--z-loss-coeff`

What is reported as the loss stays the cross entropy alone; the z-loss is a figure of its own. With multi-token prediction the
further layers' predictions have it, too, at their weight.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from megatron.core import parallel_state


def penalised(
    cross_entropy: Callable[[torch.Tensor], torch.Tensor], labels: torch.Tensor, logits: torch.Tensor, coefficient: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """`(nats, z-loss)`, `[b, s]` fp32 each: nats have the cross entropy's value, and the gradient of both.

    log Z is what the cross entropy and the label's own logit add up to. So it costs no pass over the vocabulary, and whichever
    cross entropy is used, fused or not, finds it over all its parts.

    Args:
        cross_entropy: logits → nats `[b, s]`.
        labels, logits: `[b, s]`, `[s, b, this process's part of the vocabulary]`.
    """
    logits, own = _LogitOfLabel.apply(logits, labels.transpose(0, 1))
    nats = cross_entropy(logits)
    penalty = coefficient * (nats + own.transpose(0, 1)).square()
    return nats + (penalty - penalty.detach()), penalty.detach()


class _LogitOfLabel(torch.autograd.Function):
    """`(logits, those of the labels, fp32 [s, b])`; backward adds to the gradient of the logits in place."""

    @staticmethod
    def forward(ctx, logits, labels):
        rows = logits.shape[-1]
        places = labels - parallel_state.get_tensor_model_parallel_rank() * rows
        here = (places >= 0) & (places < rows)
        places = places.clamp(0, rows - 1)[..., None]
        own = logits.gather(-1, places)[..., 0].float().masked_fill(~here, 0.0)
        torch.distributed.all_reduce(own, group=parallel_state.get_tensor_model_parallel_group())
        ctx.mark_dirty(logits)
        ctx.save_for_backward(places, here)
        return logits, own

    @staticmethod
    def backward(ctx, of_logits, of_own):
        places, here = ctx.saved_tensors
        return of_logits.scatter_add_(-1, places, (of_own * here)[..., None].to(of_logits.dtype)), None
