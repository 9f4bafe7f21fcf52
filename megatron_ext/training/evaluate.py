"""Evaluation during training, and on the test data at its end: loss and bits per byte, always on the same samples.

Bits per byte do not depend on the tokenizer: loss summed in bits over the bytes of text that the targets stand for.
"""

from __future__ import annotations

import math

import torch

from megatron_ext.training.step import forward_backward


def due_measures(run, state) -> dict:
    """What is to be measured after this update: validation every `--eval-interval`, the test data after the last one."""
    interval, measures = run.config.training.eval_interval, {}
    if run.data.valid and interval is not None and state.iteration % interval == 0:
        measures |= evaluate(run, state, run.data.valid, "eval")
    if test_is_due(run, state):
        measures |= evaluate(run, state, run.data.test, "test")
    return measures


def test_is_due(run, state) -> bool:
    """The test data is measured after the last update; not at all with `--eval-iters 0`."""
    measurable = run.config.training.eval_iters > 0 or run.config.data.full_validation
    return bool(run.data.test) and measurable and state.iteration == run.total_iters


@torch.no_grad()
def evaluate(run, state, sets, prefix: str) -> dict:
    """`PREFIX_loss` (nats a token) and, with a tokenizer, `PREFIX_bits_per_byte` over all targets of all sets.

    With `--multiple-validation-sets`, `PREFIX_sets` holds both for each set by its name. Nothing at all where the run is asked
    to stop meanwhile: what kills it next may not wait for an evaluation. The test data is then measured when the run goes on.
    """
    with state.sharding.whole_weights():
        for chunk in state.sharding.chunks:
            chunk.eval()
        sums = {each.name: _sums(run, each) for each in sets}
    if (stop := run.asked_to_stop()) is not None:
        run.monitor.warn(f"{stop.why}: the evaluation after update {state.iteration} was cut short and is left out")
        return {}
    result = {f"{prefix}_{name}": value for name, value in _measures(sum(sums.values())).items()}
    if run.config.data.multiple_validation_sets:
        result[f"{prefix}_sets"] = {name: _measures(each) for name, each in sums.items()}
    return result


def _sums(run, evaluated) -> torch.Tensor:
    """`[nats, targets, bytes of text]` over a set: all of it where it has an end, else `--eval-iters` global batches."""
    size, table = run.config.training.global_batch_size, run.token_bytes
    count = run.config.training.eval_iters if evaluated.size is None else -(-evaluated.size // size)
    extra = (lambda batch: [(table[batch["labels"]] * batch["loss_mask"]).sum()]) if table is not None else None
    totals = torch.zeros(3, dtype=torch.float64)
    for batch in range(count):
        if run.asked_to_stop():
            break
        sums = forward_backward(run, evaluated.samples, batch * size, forward_only=True, extra=extra)
        totals[: len(sums)] += torch.tensor(sums, dtype=torch.float64)
    return totals


def _measures(sums: torch.Tensor) -> dict[str, float]:
    nats, targets, covered = sums.tolist()
    result = {"loss": nats / targets}
    if covered > 0:
        result["bits_per_byte"] = nats / math.log(2) / covered
    return result
