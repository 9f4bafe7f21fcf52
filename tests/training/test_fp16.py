"""fp16 with a loss scale: it learns, overflows are skipped and shown, resumes bit by bit, and layouts agree."""

from __future__ import annotations

import json
import math

import pytest
import torch

from tests.layouts.training_case import outcome
from tests.training.test_resume import same_training

BASE = ["--preset", "tiny", "--num-layers", "2", "--vocab-size", "200", "--seq-length", "16", "--global-batch-size", "8",
        "--micro-batch-size", "4", "--mock-data", "--train-iters", "8"]  # fmt: skip
FP16 = ["--fp16", "--initial-loss-scale", "65536"]


@pytest.fixture(scope="module")
def plain(pool, tmp_path_factory):
    return outcome(pool, [*BASE, *FP16], 1, tmp_path_factory.mktemp("plain"))


def test_agrees_with_fp32(pool, plain, tmp_path):
    fp32 = outcome(pool, BASE, 1, tmp_path)
    assert [record["loss"] for record in plain.records] == pytest.approx([r["loss"] for r in fp32.records], rel=2e-3)
    assert [r["grad_norm"] for r in plain.records] == pytest.approx([r["grad_norm"] for r in fp32.records], rel=2e-2)
    assert all(record["loss_scale"] == 65536 for record in plain.records), "so the norm is of the unscaled gradient"
    assert "loss_scale" not in fp32.records[0]
    for name, tensor in fp32.final.items():
        assert (plain.final[name] - tensor).norm() < 0.02 * tensor.norm(), name
    assert not torch.equal(plain.final["decoder.final_layernorm.weight"], fp32.final["decoder.final_layernorm.weight"])


def test_learns(pool, tmp_path):
    run = outcome(pool, [*BASE, *FP16, "--train-iters", "60", "--lr", "1e-2"], 1, tmp_path)
    assert run.records[0]["loss"] > 5.0 and run.records[-1]["loss"] < 3.5


LAYOUTS = {
    "TP2+SP": (2, ["--tensor-model-parallel-size", "2", "--sequence-parallel"]),
    "PP2": (2, ["--pipeline-model-parallel-size", "2"]),
    "DP2+ZeRO1": (2, ["--zero-stage", "1"]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_agree(layout, pool, plain, tmp_path):
    world_size, flags = LAYOUTS[layout]
    run = outcome(pool, [*BASE, *FP16, *flags], world_size, tmp_path)
    for key in ("loss", "grad_norm"):
        assert [r[key] for r in run.records] == pytest.approx([r[key] for r in plain.records], rel=5e-3)
    for name, tensor in plain.final.items():
        assert (run.final[name] - tensor).norm() < 0.02 * tensor.norm(), name


def test_the_micro_batch_size_changes_only_roundings(pool, plain, tmp_path):
    """The scale is of a micro-batch's mean; the factor for its sum over tokens is exact."""
    run = outcome(pool, [*BASE, *FP16, "--micro-batch-size", "1"], 1, tmp_path)
    assert [r["loss"] for r in run.records] == pytest.approx([r["loss"] for r in plain.records], rel=1e-3)


TOO_LARGE = ["--fp16", "--initial-loss-scale", "1e9", "--hysteresis", "2", "--loss-scale-window", "3"]


@pytest.mark.parametrize(
    ("world_size", "flags"), [(1, []), pytest.param(*LAYOUTS["PP2"], marks=pytest.mark.full), LAYOUTS["DP2+ZeRO1"]]
)
def test_an_overflow_is_skipped_and_the_scale_halves(world_size, flags, pool, tmp_path):
    run = outcome(pool, [*BASE, *TOO_LARGE, "--train-iters", "24", *flags], world_size, tmp_path)
    scales, skipped = [r["loss_scale"] for r in run.records], [r["skipped"] for r in run.records]
    start = torch.tensor(1e9).item()  # fp32, like the scale
    # Of two overflows the first is let pass (hysteresis); every further one halves.
    assert scales[:4] == [start, start, start / 2, start / 4] and skipped[:4] == [1, 2, 3, 4]
    good = next(number for number in range(24) if skipped[number] == number)
    assert scales[good] == start / 2 ** (good - 1)
    overflowed = [now > before for before, now in zip([0, *skipped], skipped)]
    assert all(math.isfinite(r["grad_norm"]) != over for r, over in zip(run.records, overflowed))
    # Three updates without overflow double it again.
    assert not any(overflowed[good : good + 3]) and scales[good + 3] == 2 * scales[good]


def test_a_constant_scale_never_changes(pool, tmp_path):
    run = outcome(pool, [*BASE, "--fp16", "--loss-scale", "1e9"], 1, tmp_path)
    assert {r["loss_scale"] for r in run.records} == {torch.tensor(1e9).item()}
    assert run.records[-1]["skipped"] == 8
    assert all(torch.equal(run.final[name], tensor) for name, tensor in run.initial.items())


def test_the_scale_has_a_lower_end(pool, tmp_path):
    run = outcome(pool, [*BASE, *TOO_LARGE, "--hysteresis", "1", "--min-loss-scale", "4e8"], 1, tmp_path)
    assert [r["loss_scale"] for r in run.records[:4]] == pytest.approx([1e9, 5e8, 4e8, 4e8])


@pytest.mark.parametrize(("layout", "after"), [("TP1", 2), ("DP2+ZeRO1", 6)])
def test_stopped_and_resumed_equals_straight_bit_by_bit(layout, after, pool, tmp_path):
    """Also between two overflows, and between the doublings of the scale."""
    world_size, flags = LAYOUTS.get(layout, (1, []))
    argv = [
        *BASE,
        *TOO_LARGE,
        "--initial-loss-scale",
        "2e6",
        "--hysteresis",
        "1",
        "--loss-scale-window",
        "2",
        "--hidden-dropout",
        "0.1",
        *flags,
    ]
    straight = outcome(pool, argv, world_size, tmp_path / "straight")
    outcome(pool, [*argv, "--exit-interval", str(after)], world_size, tmp_path / "stopped")
    manifest = json.loads((tmp_path / "stopped" / f"iter_{after:07d}" / "manifest.json").read_text())
    assert manifest["content"]["counts"]["loss_scale"]["scale"] > 0
    resumed = outcome(pool, argv, world_size, tmp_path / "stopped")
    assert list(map(same_training, resumed.records)) == list(map(same_training, straight.records))
    scales = [r["loss_scale"] for r in straight.records]
    assert any(a > b for a, b in zip(scales, scales[1:])) and any(a < b for a, b in zip(scales, scales[1:])), (
        "the scale is to move"
    )
    for name, tensor in straight.final.items():
        assert resumed.final[name].equal(tensor), name


def poison_an_expert(launch, argv, folder):
    """Train with an infinite gradient in one expert of one rank in the third update; what this rank ends with."""
    from megatron_ext.backend.placement import placements
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    config = read_configuration([*argv, "--device", "cpu", "--log-interval", "1", "--save", folder], launch.world_size)
    with processes(launch, config) as device:
        from megatron_ext.training import loop
        from megatron_ext.training.build import build

        run = build(config, device)
        expert = next(parameter for place, parameter in placements(run.sharding.chunks[0]) if ".experts." in place.name)
        prepare, calls = run.sharding.optimizer.prepare_grads, []

        def poison():
            calls.append(1)
            if len(calls) == 3 and launch.rank == 1:
                expert.main_grad.view(-1)[0] = math.inf
            return prepare()

        run.sharding.optimizer.prepare_grads = poison
        state = loop.train(run)
        return state.skipped, state.sharding.updates, state.sharding.loss_scale.current


def test_an_overflow_in_one_expert_is_everybodys(pool, tmp_path):
    """Experts have an optimizer of their own, and here also processes; the scale stays one."""
    argv = [*BASE, *FP16, "--hysteresis", "1", "--num-experts", "4", "--expert-model-parallel-size", "2"]
    assert pool.run(poison_an_expert, 2, argv, str(tmp_path / "run")) == [(1, 7, 32768.0)] * 2
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [r["loss_scale"] for r in records] == [65536.0] * 3 + [32768.0] * 5
    alone = outcome(pool, [*BASE, *FP16, "--num-experts", "4"], 1, tmp_path / "alone").records
    # Before and at the overflow the runs are the same; the update after it sees the same weights with the scale halved.
    assert records[1]["grad_norm"] == pytest.approx(alone[1]["grad_norm"], rel=1e-2)
    assert math.isinf(records[2]["grad_norm"])
    assert records[3]["grad_norm"] == pytest.approx(alone[2]["grad_norm"], rel=0.2), "not divided by the halved scale"


def test_an_update_that_is_skipped_moves_no_expert_bias(pool, tmp_path):
    biased = ["--num-experts", "4", "--moe-router-score-function", "sigmoid", "--moe-router-enable-expert-bias"]
    argv = [*BASE, "--fp16", *biased, "--train-iters", "3", "--initial-loss-scale"]
    skipped, applied = (outcome(pool, [*argv, scale], 1, tmp_path / scale) for scale in ("1e30", "1024"))
    assert (skipped.records[-1]["skipped"], applied.records[-1]["skipped"]) == (3, 0)
    for name in [name for name in skipped.final if name.endswith("expert_bias")]:
        assert not skipped.final[name].any() and applied.final[name].any()


def test_further_predictions_weigh_as_in_fp32(pool, tmp_path):
    """Their loss is scaled with the model's own."""
    argv = [*BASE, "--mtp-num-layers", "1", "--mtp-loss-scaling-factor", "1"]
    fp32, fp16 = (outcome(pool, [*argv, *kind], 1, tmp_path / str(len(kind))).records for kind in ([], FP16))
    for key in ("loss", "mtp_loss"):
        assert [record[key] for record in fp16] == pytest.approx([record[key] for record in fp32], rel=1e-3), key
    assert fp16[0]["grad_norm"] == pytest.approx(fp32[0]["grad_norm"], rel=1e-2)
