"""One update: forward and backward over the micro-batches of a global batch, then one step of the optimizer."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import time
from collections.abc import Iterator

import torch
from megatron.core import parallel_state
from megatron.core.pipeline_parallel import get_forward_backward_func

from megatron_ext.models.architecture_flags import lengths
from megatron_ext.models.gpt import model_class
from megatron_ext.optim.schedules import decoupled, learning_rate
from megatron_ext.training.batch_size import batch_size
from megatron_ext.training.memory import give_back


@dataclasses.dataclass(frozen=True)
class StepResult:
    """What an update shows: mean loss in nats a token, gradient norm before clipping, whether it was applied, its time.

    `loss_scale` is what fp16's backward began with, None in other precisions; `busy` are the seconds that this process did
    not wait for others (`backend/busy.py`); `padding` is the share of padded places, None where samples are cut from the stream.
    """

    loss: float
    grad_norm: float
    learning_rate: float
    samples: int
    applied: bool
    loss_scale: float | None
    seconds: float
    busy: float
    padding: float | None = None


def train_step(run, state) -> StepResult:
    """Train on the next global batch and move `state` on."""
    started = time.perf_counter()
    run.clock.start()
    for chunk in state.sharding.chunks:
        chunk.train()
    state.sharding.zero_grad()
    size = batch_size(run.config.training, state.consumed_samples)
    packs = hasattr(run.objective, "Pairs")
    extra = (lambda batch: [batch["padding"].sum()]) if packs else None
    sums = forward_backward(run, run.train_samples, state.consumed_samples, forward_only=False, extra=extra, size=size)
    loss, tokens, *padded = sums
    give_back(run.config.parallel, level=1)
    scale = None if state.sharding.loss_scale is None else state.sharding.loss_scale.current
    rate, own_rate = _learning_rates(run, state, size)
    update = state.sharding.update(rate, own_rate)
    give_back(run.config.parallel, level=2)
    state.iteration += 1
    state.consumed_samples += size
    places = size * sum(lengths(run.config.model))
    state.consumed_tokens += places
    state.skipped += not update.applied
    return StepResult(
        loss=loss / max(tokens, 1.0),
        grad_norm=update.grad_norm,
        learning_rate=rate,
        samples=size,
        applied=update.applied,
        loss_scale=scale,
        seconds=time.perf_counter() - started,
        busy=run.clock.seconds(),
        padding=padded[0] / places if packs else None,
    )


def _learning_rates(run, state, size: int) -> tuple[float, float | None]:
    """Of this update, and of its embedding and output matrix where they have their own."""
    position = state.consumed_samples + size if run.way_in_samples else state.iteration - state.skipped + 1
    flags, own = run.config.optimizer, decoupled(run.config.optimizer, run.way)
    return learning_rate(position, flags, run.way), None if own is None else learning_rate(position, flags, own)


def forward_backward(run, samples, first_sample: int, forward_only: bool, extra=None, size: int | None = None) -> list[float]:
    """Sums over a whole global batch, the same on every process: `[loss in nats, targets, *extra(batch)]`.

    Args:
        samples: where to take samples from, `first_sample` on.
        forward_only: leave out the backward pass.
        extra: `extra(batch)` gives further tensors of one number to be summed over the batch.
        size: samples in the batch [global-batch-size].
    """
    training, layout = run.config.training, run.layout
    count = (size or training.global_batch_size) // (training.micro_batch_size * layout.data)
    batches, chunks = run.loader.batches(samples, first_sample, count), run.sharding.chunks
    sums = get_forward_backward_func()(
        forward_step_func=functools.partial(_forward, run, extra),
        data_iterator=list(itertools.tee(batches, len(chunks))) if len(chunks) > 1 else batches,
        model=chunks,
        num_microbatches=count,
        seq_length=sum(lengths(run.config.model)),
        micro_batch_size=training.micro_batch_size,
        forward_only=forward_only,
    )
    return _sum_over_processes(sums, run.device, length=2 if extra is None else 3)


def _forward(run, extra, batches: Iterator[torch.Tensor], model):
    """megatron-core's forward step: `(output, loss function)` of the next micro-batch."""
    with run.clock.forward():
        batch = run.objective.batch(_on(run.device, next(batches)), run.reading)
        batch, arguments = model_class(run.model_config).arguments(batch, run.model_config)
        output = model(**arguments)

    def loss(per_token: torch.Tensor):
        total, targets = run.objective.loss(per_token.float(), batch)
        further = () if extra is None else extra(batch)
        report = torch.stack([total.detach().double(), targets.double(), *(value.double() for value in further)])
        return total, targets, report

    return output, loss


def _on(device: torch.device, read):
    if isinstance(read, dict):
        return {name: field.to(device, non_blocking=True) for name, field in read.items()}
    return read.to(device, non_blocking=True)


def _sum_over_processes(reports: list[torch.Tensor], device, length: int) -> list[float]:
    """Sum over micro-batches and the processes that share the batch. Only the last stage has reports: others add zeros."""
    total = torch.stack(reports).sum(dim=0) if reports else torch.zeros(length, dtype=torch.float64, device=device)
    torch.distributed.all_reduce(total, group=parallel_state.get_data_parallel_group(with_context_parallel=True))
    if parallel_state.get_pipeline_model_parallel_world_size() > 1:
        torch.distributed.all_reduce(total, group=parallel_state.get_pipeline_model_parallel_group())
    return total.tolist()
