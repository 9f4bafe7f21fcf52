"""A process that is slower than its peers is named: in the arithmetic, and in runs where one is really delayed."""

from __future__ import annotations

import json
import time

import pytest

from megatron_ext.monitor.straggler import SLOW, judge

BASE = ["--preset", "tiny", "--num-layers", "2", "--vocab-size", "200", "--seq-length", "16", "--global-batch-size", "4",
        "--micro-batch-size", "1", "--mock-data", "--train-iters", "4", "--log-interval", "2"]  # fmt: skip


def test_a_process_is_compared_with_those_that_do_the_same():
    times = judge([1.0, 1.2, 3.0, 3.3], stages=2)
    assert (times.busy_seconds_min, times.busy_seconds_median, times.busy_seconds_max) == (1.0, 2.1, 3.3)
    assert (times.slowest_rank, times.slowest_factor) == (1, pytest.approx(1.2)), "stage 1 has more to do, and nobody is late"


def test_stages_of_one_process_are_compared_with_each_other():
    assert judge([1.0, 4.0], stages=2)[3:] == (1, 4.0)
    assert judge([1.0, 1.1, 1.0, 2.0], stages=4)[3:] == (3, 2.0)


def test_among_peers_the_median_stands_against_one_slow_one():
    assert judge([1.0, 1.0, 5.0, 1.0], stages=1)[3:] == (2, 5.0)
    assert judge([2.0, 1.0], stages=1)[3:] == (0, 2.0)


def delayed(launch, argv, folder, slow, seconds):
    """Train with one rank sleeping in each of its layers' forward passes."""
    from megatron.core.transformer.transformer_layer import TransformerLayer

    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    config = read_configuration([*BASE, *argv, "--device", "cpu", "--save", folder], launch.world_size)
    with processes(launch, config) as device:
        from megatron_ext.training import loop
        from megatron_ext.training.build import build

        run = build(config, device)
        for chunk in run.sharding.chunks if launch.rank == slow else ():
            for module in chunk.modules():
                if isinstance(module, TransformerLayer):
                    module.register_forward_pre_hook(lambda module, args: time.sleep(seconds))
        loop.train(run)


LAYOUTS = {
    "DP2": (2, []),
    "TP2": (2, ["--tensor-model-parallel-size", "2"]),
    "PP2": (2, ["--pipeline-model-parallel-size", "2"]),
    "TP2.DP2+ZeRO1": (4, ["--tensor-model-parallel-size", "2", "--zero-stage", "1"]),
}


@pytest.mark.parametrize("layout", [pytest.param("DP2", marks=pytest.mark.full), "TP2", "PP2", "TP2.DP2+ZeRO1"])
def test_a_delayed_process_is_named(layout, pool, tmp_path):
    world_size, flags = LAYOUTS[layout]
    slow = world_size - 1
    pool.run(delayed, world_size, flags, str(tmp_path), slow, 0.1)
    record = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert record["slowest_rank"] == slow and record["slowest_factor"] > SLOW
    assert record["busy_seconds_max"] > 0.1
    assert record["busy_seconds_min"] <= record["busy_seconds_median"] <= record["busy_seconds_max"]


def test_one_process_has_nobody_to_wait_for(pool, tmp_path):
    pool.run(delayed, 1, [], str(tmp_path), 1, 0.0)
    (first, _) = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert "slowest_rank" not in first and "busy_seconds_max" not in first
