"""Evaluation during training: loss and bits per byte on the validation data, always on the same samples.

Bits per byte do not depend on the tokenizer: loss summed in bits over the bytes of text that the targets stand for.
"""

from __future__ import annotations

import math

import torch

from megatron_ext.training.step import forward_backward


@torch.no_grad()
def evaluate(run, state) -> dict[str, float]:
    """`eval_loss` (nats a token) and, with a tokenizer, `eval_bits_per_byte` over `--eval-iters` global batches."""
    totals = [0.0, 0.0, 0.0]
    table = run.token_bytes
    extra = (lambda batch: [(table[batch["labels"]] * batch["loss_mask"]).sum()]) if table is not None else None
    with state.sharding.whole_weights():
        for chunk in state.sharding.chunks:
            chunk.eval()
        for batch in range(run.config.training.eval_iters):
            first = batch * run.config.training.global_batch_size
            sums = forward_backward(run, run.valid_samples, first, forward_only=True, extra=extra)
            totals = [total + value for total, value in zip(totals, [*sums, 0.0], strict=False)]
    loss, targets, covered = totals
    result = {"eval_loss": loss / targets}
    if covered > 0:
        result["eval_bits_per_byte"] = loss / math.log(2) / covered
    return result
