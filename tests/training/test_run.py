"""What a run does besides learning: evaluation, saving, stopping, logging, real data, and updates that are skipped."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from tests.layouts.training_case import outcome

BASE = ["--preset", "tiny", "--num-layers", "2", "--vocab-size", "200", "--seq-length", "16", "--global-batch-size", "4"]
MOCK = [*BASE, "--mock-data", "--train-iters", "6"]


def test_learns_what_can_be_learnt(pool, tmp_path):
    run = outcome(
        pool,
        [*BASE, "--mock-data", "--train-iters", "150", "--lr", "1e-2", "--global-batch-size", "16", "--micro-batch-size", "16"],
        1,
        tmp_path,
    )
    assert run.records[0]["loss"] > 5.0
    assert run.records[-1]["loss"] < 2.0


def test_evaluation(pool, tmp_path):
    run = outcome(pool, [*MOCK, "--eval-interval", "3", "--eval-iters", "2"], 1, tmp_path / "two")
    assert [record["iteration"] for record in run.records if "eval_loss" in record] == [3, 6]
    other = outcome(pool, [*MOCK, "--eval-interval", "3", "--eval-iters", "5"], 1, tmp_path / "five")
    assert [r["loss"] for r in run.records] == [r["loss"] for r in other.records], "evaluating changes training"
    assert run.records[2]["eval_loss"] != other.records[2]["eval_loss"]
    spread = outcome(
        pool, [*MOCK, "--eval-interval", "3", "--eval-iters", "2", "--pipeline-model-parallel-size", "2"], 2, tmp_path / "pp2"
    )
    assert spread.records[2]["eval_loss"] == pytest.approx(run.records[2]["eval_loss"], rel=1e-5)


def test_saves_at_the_interval(pool, tmp_path):
    outcome(pool, [*MOCK, "--save-interval", "4"], 1, tmp_path)
    assert sorted(path.name for path in tmp_path.glob("iter_*")) == ["iter_0000004", "iter_0000006"]


def test_stops_after_a_time(pool, tmp_path):
    run = outcome(pool, [*MOCK, "--micro-batch-size", "2", "--exit-duration-in-mins", "1e-6"], 2, tmp_path)
    assert len(run.records) == 1
    assert (tmp_path / "iter_0000001" / "manifest.json").exists()


def test_load_starts_from_another_folder(pool, tmp_path):
    outcome(pool, [*MOCK, "--exit-interval", "3"], 1, tmp_path / "old")
    run = outcome(pool, [*MOCK, "--load", str(tmp_path / "old")], 1, tmp_path / "new")
    assert [record["iteration"] for record in run.records] == [4, 5, 6]


def test_log_interval(pool, tmp_path):
    run = outcome(pool, [*MOCK, "--log-interval", "4"], 1, tmp_path / "four")
    every = outcome(pool, MOCK, 1, tmp_path / "every")
    assert [record["iteration"] for record in run.records] == [4, 6]
    assert run.records[0]["loss"] == pytest.approx(np.mean([record["loss"] for record in every.records[:4]]))


def test_what_no_interval_has_shown_is_shown_at_the_end(pool, tmp_path):
    run = outcome(pool, [*MOCK, "--log-interval", "100", "--exit-interval", "4"], 1, tmp_path)
    assert [record["iteration"] for record in run.records] == [4]


def test_metrics_have_the_promised_fields(pool, tmp_path):
    record = outcome(pool, MOCK, 1, tmp_path).records[-1]
    promised = {"iteration", "loss", "grad_norm", "learning_rate", "consumed_tokens", "tokens_per_second"}
    assert promised <= record.keys()
    assert record["consumed_tokens"] == 6 * 4 * 16
    assert (tmp_path / "run.yaml").exists()


def test_tensorboard(pool, tmp_path):
    run = outcome(pool, [*MOCK, "--tensorboard-dir", str(tmp_path / "board")], 1, tmp_path / "run")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(tmp_path / "board"))
    board.Reload()
    found = [(event.step, event.value) for event in board.Scalars("loss")]
    assert found == [(record["iteration"], pytest.approx(record["loss"], rel=1e-6)) for record in run.records]


@pytest.fixture
def real_data(tmp_path):
    """Two `.bin/.idx` pairs by megatron-core's own builder; token ids tell the pairs apart."""
    from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

    generator = np.random.default_rng(0)
    for name, low in (("train", 0), ("valid", 100)):
        builder = IndexedDatasetBuilder(str(tmp_path / f"{name}.bin"), dtype=np.uint16)
        for _ in range(50):
            document = generator.integers(low, low + 100, generator.integers(5, 60))
            builder.add_document(torch.from_numpy(document), [len(document)])
        builder.finalize(str(tmp_path / f"{name}.idx"))
    return tmp_path


def test_real_data_by_prefix_and_split(real_data, pool):
    base = [*BASE, "--train-iters", "3", "--eval-interval", "3", "--eval-iters", "1", "--data-path", str(real_data / "train")]
    split = outcome(pool, base + ["--split", "80,20"], 1, real_data / "a").records
    other = outcome(pool, base + ["--split", "50,50"], 1, real_data / "b").records
    apart = outcome(pool, [*base, "--valid-data-path", str(real_data / "valid")], 1, real_data / "c").records
    mock = outcome(pool, MOCK, 1, real_data / "d").records
    first = [records[0]["loss"] for records in (split, other, apart, mock)]
    assert len(set(first)) == 4
    assert split[-1]["eval_loss"] != apart[-1]["eval_loss"]


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-2])


@pytest.mark.parametrize(("damage", "reason"), [
    (lambda folder: (folder / "train.bin").unlink(), "train.bin does not exist"),
    (lambda folder: (folder / "train.idx").write_bytes(b"nonsense" * 10), "is not an index of tokens"),
    (lambda folder: cut_off(folder / "train.bin"), "does not belong together or is cut off"),
])  # fmt: skip
def test_damaged_data_is_one_sentence(damage, reason, real_data, pool):
    damage(real_data)
    with pytest.raises(AssertionError, match=reason):
        outcome(pool, [*BASE, "--train-iters", "1", "--data-path", str(real_data / "train")], 1, real_data / "run")


def test_data_of_another_tokenizer_is_refused(real_data, pool):
    with pytest.raises(AssertionError, match="the tokenizer has 50 entries"):
        outcome(
            pool,
            [*BASE, "--vocab-size", "50", "--train-iters", "1", "--data-path", str(real_data / "train")],
            1,
            real_data / "run",
        )


def test_too_little_data_is_refused(real_data, pool):
    with pytest.raises(AssertionError, match="fewer than one sample"):
        outcome(
            pool,
            [*BASE, "--seq-length", "5000", "--train-iters", "1", "--data-path", str(real_data / "train")],
            1,
            real_data / "run",
        )


def poisoned(launch, folder):
    """Train with one weight gradient made NaN in the third update."""
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    config = read_configuration([*MOCK, "--device", "cpu", "--log-interval", "1", "--save", folder], launch.world_size)
    with processes(launch, config) as device:
        from megatron_ext.training import loop
        from megatron_ext.training.build import build

        run = build(config, device)
        parameter = next(run.sharding.chunks[0].parameters())
        prepare, calls, weights = run.sharding.optimizer.prepare_grads, [], []

        def poison():
            calls.append(1)
            weights.append(parameter.detach().clone())
            if len(calls) == 3:
                parameter.main_grad.view(-1)[0] = math.nan
            return prepare()

        run.sharding.optimizer.prepare_grads = poison
        state = loop.train(run)
        return state.skipped, state.sharding.updates, weights[2].equal(weights[3]), bool(parameter.isfinite().all())


def test_a_gradient_that_is_not_finite_moves_no_weight_and_is_shown(pool, tmp_path):
    skipped, updates, unmoved, finite = pool.run(poisoned, 1, str(tmp_path))[0]
    assert (skipped, updates, unmoved, finite) == (1, 5, True, True)
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert math.isnan(records[2]["grad_norm"])
    assert [record["skipped"] for record in records] == [0, 0, 1, 1, 1, 1]
