"""A real training run in a worker of the pool, and what two runs are compared by."""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib

import torch


@dataclasses.dataclass
class Outcome:
    """What a run gave: per-iteration records, and the weights by global name before and after, put together from all ranks."""

    records: list[dict]
    initial: dict[str, torch.Tensor]
    final: dict[str, torch.Tensor]
    first_gradient: dict[str, torch.Tensor]


def train_case(launch, argv: list[str], folder: str):
    """Run `argv` as pretrain_gpt.py would; returns this rank's parts of the weights: `(initial, final, first gradients)`."""
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    config = read_configuration(["--log-interval", "1", *argv, "--device", "cpu", "--save", folder], launch.world_size)
    with processes(launch, config) as device:
        from megatron_ext.training import loop
        from megatron_ext.training.build import build

        run = build(config, device)
        initial = _weights(run.sharding)
        gradients = _first_gradients(run)
        loop.train(run)
        return initial, _weights(run.sharding), gradients


def _weights(sharding) -> list[tuple]:
    return [
        (
            piece.place.name,
            piece.place.shape,
            piece.place.block,
            piece.place.local,
            piece.begin,
            piece.end,
            piece.tensors["weight"].clone(),
        )
        for piece in sharding.pieces()
    ]


def _first_gradients(run) -> list[tuple]:
    """The gradient of the first global batch, before any update; stage 0 holds it whole; fp16 scales it."""
    from megatron_ext.backend.placement import learned_otherwise, placements
    from megatron_ext.training.step import forward_backward

    if run.layout.zero_stage or run.model_config.fp16:
        return []
    run.sharding.zero_grad()
    forward_backward(run, run.train_samples, 0, forward_only=False)
    gradients = [
        (place.name, place.shape, place.block, place.local, 0, parameter.numel(), parameter.main_grad.flatten().float().clone())
        for chunk in run.sharding.chunks
        for place, parameter in placements(chunk)
    ]
    run.sharding.zero_grad()
    for chunk in run.sharding.chunks:
        for _, bias in learned_otherwise(chunk):  # moved by the forward pass, as in an update
            bias.zero_()
    run.monitor._seen()  # nor does the first record show it
    return gradients


def outcome(pool, argv: list[str], world_size: int, folder: pathlib.Path) -> Outcome:
    """Run a case on the pool and put its parts together."""
    ranks = pool.run(train_case, world_size, argv, str(folder))
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return Outcome(records, *(_assemble([part for rank in ranks for part in rank[kind]]) for kind in range(3)))


def _assemble(parts: list[tuple]) -> dict[str, torch.Tensor]:
    """Whole tensors out of pieces; what several ranks hold must be the same on all."""
    whole: dict[str, torch.Tensor] = {}
    for name, shape, block, local, begin, end, values in parts:
        target = whole.setdefault(name, torch.full(shape, math.nan))
        region = target[block].reshape(-1)
        known = region[begin:end]
        if known.isfinite().all():
            torch.testing.assert_close(
                known, values, rtol=1e-5, atol=1e-7, msg=lambda text, name=name: f"ranks disagree on {name}: {text}"
            )
        region[begin:end] = values
        target[block] = region.reshape(local)
    for name, tensor in whole.items():
        assert not tensor.isnan().any(), f"{name} is not covered by the ranks' pieces"
    return whole
