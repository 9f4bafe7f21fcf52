"""Evaluation while training: several sets by name, whole sets to the last token, the test data at the end."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from megatron_ext.monitor.tensorboard import _scalars
from tests.data.pairs import write_pair
from tests.layouts.training_case import outcome
from tests.texts import byte_level_bpe_json

BASE = ["--preset", "tiny", "--num-layers", "2", "--vocab-size", "200", "--seq-length", "16", "--global-batch-size", "4",
        "--micro-batch-size", "1", "--train-iters", "4"]  # fmt: skip


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Four pairs of random tokens, with options that name them."""
    folder, draw = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0)
    sizes = {"train": 60, "wiki": 7, "code": 4, "test": 5}
    prefixes = {
        name: write_pair(folder / name, [draw.integers(0, 200, draw.integers(0, 40)).tolist() for _ in range(count)])
        for name, count in sizes.items()
    }
    return {**prefixes, "sets": ["--train-data-path", prefixes["train"], "--valid-data-path", prefixes["wiki"], prefixes["code"]]}


def evaluated(pool, folder, argv, world_size=1):
    records = outcome(pool, [*BASE, *argv], world_size, folder).records
    return {record["iteration"]: {k: v for k, v in record.items() if k.startswith(("eval", "test"))} for record in records}


def test_sets_are_shown_by_name_and_all_together(pool, pairs, tmp_path):
    argv = [*pairs["sets"], "--eval-interval", "2", "--eval-iters", "3"]
    board = ["--tensorboard-dir", str(tmp_path / "board")]
    found = evaluated(pool, tmp_path / "named", [*argv, "--multiple-validation-sets", *board])
    assert [iteration for iteration, measures in found.items() if measures] == [2, 4]
    sets = found[2]["eval_sets"]
    assert sets.keys() == {"wiki", "code"}
    assert found[2]["eval_loss"] == pytest.approx((sets["wiki"]["loss"] + sets["code"]["loss"]) / 2)  # equally many targets
    for name in sets:
        alone = ["--train-data-path", pairs["train"], "--valid-data-path", pairs[name], *argv[5:]]
        assert evaluated(pool, tmp_path / name, alone)[2]["eval_loss"] == pytest.approx(sets[name]["loss"], rel=1e-5)
    blended = evaluated(pool, tmp_path / "blended", argv)[2]
    assert blended.keys() == {"eval_loss"} and blended["eval_loss"] != found[2]["eval_loss"]

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "board"))
    events.Reload()
    for name in sets:
        seen = [(event.step, pytest.approx(event.value, rel=1e-6)) for event in events.Scalars(f"eval_loss/{name}")]
        assert [(iteration, found[iteration]["eval_sets"][name]["loss"]) for iteration in (2, 4)] == seen


def naive_losses(launch, argv, names):
    """What `evaluate` says of whole sets before any update, and the same by hand, without padding: `{set: (loss, targets)}`."""
    from megatron_ext.training.build import build
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.evaluate import evaluate
    from megatron_ext.training.layout import processes
    from megatron_ext.training.state import TrainState

    config = read_configuration([*BASE, *argv, "--device", "cpu"], launch.world_size)
    with processes(launch, config) as device:
        run = build(config, device)
        said = evaluate(run, TrainState(run.sharding), run.data.valid, "eval")
        return said, {name: by_hand(run.sharding.chunks[0].eval(), prefix) for name, prefix in names.items()}


@torch.no_grad()
def by_hand(model, prefix):
    tokens, total = torch.from_numpy(np.fromfile(prefix + ".bin", np.int32).astype(np.int64)), 0.0
    for begin in range(0, len(tokens) - 1, 16):
        part = tokens[begin : begin + 17].unsqueeze(0)
        positions = torch.arange(part.shape[1] - 1).unsqueeze(0)
        total += model(part[:, :-1], positions, None, labels=part[:, 1:]).double().sum().item()
    return total, len(tokens) - 1


def test_whole_sets_count_each_target_once(pool, pairs):
    argv = [*pairs["sets"], "--eval-interval", "2", "--full-validation", "--multiple-validation-sets"]
    said, naive = pool.run(naive_losses, 1, argv, {name: pairs[name] for name in ("wiki", "code")})[0]
    for name, (total, targets) in naive.items():
        assert said["eval_sets"][name]["loss"] == pytest.approx(total / targets, rel=1e-5)
    totals, targets = (sum(column) for column in zip(*naive.values(), strict=True))
    assert said["eval_loss"] == pytest.approx(totals / targets, rel=1e-5)


WHOLE = ["--eval-interval", "2", "--full-validation", "--multiple-validation-sets"]


@pytest.fixture(scope="module")
def plain(pool, pairs, tmp_path_factory):
    return evaluated(pool, tmp_path_factory.mktemp("plain"), [*pairs["sets"], *WHOLE])


@pytest.mark.parametrize(("world_size", "flags"), [
    (1, ["--micro-batch-size", "4", "--num-workers", "0"]),
    (2, ["--micro-batch-size", "2"]),
    (2, ["--pipeline-model-parallel-size", "2"]),
    pytest.param(4, ["--zero-stage", "1"], marks=pytest.mark.full),
    pytest.param(2, ["--tensor-model-parallel-size", "2", "--sequence-parallel"], marks=pytest.mark.full),
])  # fmt: skip
def test_whole_sets_are_the_same_in_every_layout(world_size, flags, pool, pairs, plain, tmp_path):
    spread = evaluated(pool, tmp_path, [*pairs["sets"], *WHOLE, *flags], world_size)
    for iteration in (2, 4):
        assert spread[iteration]["eval_loss"] == pytest.approx(plain[iteration]["eval_loss"], rel=1e-5)
        for name, measures in plain[iteration]["eval_sets"].items():
            assert spread[iteration]["eval_sets"][name] == pytest.approx(measures, rel=1e-5)


def test_test_data_is_evaluated_once_at_the_end(pool, pairs, tmp_path):
    argv = ["--train-data-path", pairs["train"], "--test-data-path", pairs["test"], "--eval-iters", "2"]
    found = evaluated(pool, tmp_path / "a", argv)
    assert [measures.keys() for measures in found.values()] == [set()] * 3 + [{"test_loss"}]
    whole = evaluated(pool, tmp_path / "b", [*argv[:-2], "--full-validation"])
    assert whole[4]["test_loss"] != found[4]["test_loss"]
    assert not any(evaluated(pool, tmp_path / "none", [*argv[:-1], "0"]).values())
    stopped = evaluated(pool, tmp_path / "c", [*argv, "--exit-interval", "3"])
    assert not any(stopped.values())
    assert evaluated(pool, tmp_path / "c", argv)[4] == found[4]


def stopped_when(launch, argv, folder, interrupted: str | None):
    """A run of `argv` which a signal reaches at the beginning of the evaluation called `interrupted`; whether that stopped it."""
    from megatron_ext.reliability.preemption import Preemption
    from megatron_ext.training import evaluate, loop
    from megatron_ext.training.build import build
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    config = read_configuration(["--log-interval", "1", *BASE, *argv, "--device", "cpu", "--save", folder], launch.world_size)
    told, as_it_is = Preemption(), evaluate.evaluate

    def evaluated_late(run, state, sets, prefix):
        told.received |= prefix == interrupted and launch.rank == launch.world_size - 1
        return as_it_is(run, state, sets, prefix)

    evaluate.evaluate = evaluated_late
    try:
        with processes(launch, config) as device:
            return loop.train(build(config, device, told)).stopped_by_signal
    finally:
        evaluate.evaluate = as_it_is


def kept(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("world_size", "cut"), [(1, "test"), (2, "eval")])
def test_a_run_is_not_done_before_the_test_data_is_measured(world_size, cut, pool, pairs, tmp_path):
    """A signal in the last evaluation: the run stops by it, and the same call again measures what is missing, once."""
    argv = [*pairs["sets"], "--test-data-path", pairs["test"], "--eval-interval", "4", "--eval-iters", "2",
            "--tensorboard-dir", str(tmp_path / "board")]  # fmt: skip
    straight, folder = evaluated(pool, tmp_path / "straight", argv)[4], tmp_path / "run"
    assert pool.run(stopped_when, world_size, argv, str(folder), cut) == [True] * world_size
    stopped = kept(folder)
    assert (
        (folder / "iter_0000004").is_dir() and "test_loss" not in stopped[-1] and ("eval_loss" in stopped[-1]) == (cut == "test")
    )
    assert pool.run(stopped_when, world_size, argv, str(folder), cut) == [True] * world_size, "again before it was measured"
    assert kept(folder) == stopped
    assert pool.run(stopped_when, world_size, argv, str(folder), None) == [False] * world_size
    again = kept(folder)
    assert again[:-1] == stopped[:-1] and again[-1].items() >= stopped[-1].items()
    for name, value in straight.items():
        assert again[-1][name] == pytest.approx(value, rel=1e-5)
    assert pool.run(stopped_when, world_size, argv, str(folder), "test") == [False] * world_size, "it was measured already"
    assert kept(folder) == again


def test_the_third_share_is_the_test_data(pool, pairs, tmp_path):
    argv = ["--data-path", pairs["train"], "--eval-interval", "2", "--eval-iters", "2"]
    found = evaluated(pool, tmp_path / "a", [*argv, "--split", "70,15,15"])
    assert [sorted(measures) for measures in found.values()] == [[], ["eval_loss"], [], ["eval_loss", "test_loss"]]
    assert not any("test_loss" in measures for measures in evaluated(pool, tmp_path / "b", [*argv, "--split", "8,2"]).values())


def test_bits_per_byte_of_each_set(pool, tmp_path):
    """A tokenizer that knows its bytes: bits are nats over ln 2, and each id of a byte stands for one."""
    from megatron_ext.tokenizers.build import build
    from megatron_ext.tokenizers.flags import TokenizerFlags

    path = tmp_path / "tokenizer.json"
    path.write_text(byte_level_bpe_json())
    tokenizer = build(TokenizerFlags(tokenizer_type="huggingface", tokenizer_model=str(path)))
    texts = {"train": "a plain line of text\n" * 200, "one": "other words here, " * 30, "two": "12 + 34 = 46\n" * 40}
    prefix = {name: write_pair(tmp_path / name, [tokenizer.encode(text)]) for name, text in texts.items()}
    argv = ["--tokenizer-model", str(path), "--train-data-path", prefix["train"], "--valid-data-path", prefix["one"],
            prefix["two"], "--eval-interval", "4", "--full-validation", "--multiple-validation-sets"]  # fmt: skip
    base = [word for word in BASE if word not in ("--vocab-size", "200")]
    record = outcome(pool, [*base, *argv], 1, tmp_path / "run").records[-1]
    bits = covered = 0.0
    for name in ("one", "two"):
        ids = tokenizer.encode(texts[name])
        size = int(tokenizer.token_bytes()[ids[1:]].sum())
        found = record["eval_sets"][name]
        assert found["bits_per_byte"] == pytest.approx(found["loss"] * (len(ids) - 1) / np.log(2) / size)
        bits, covered = bits + found["bits_per_byte"] * size, covered + size
    assert record["eval_bits_per_byte"] == pytest.approx(bits / covered)


def test_scalars_of_a_record():
    assert _scalars("iteration", 3) == []
    assert _scalars("loss", 2.0) == [("loss", 2.0)]
    sets = {"wiki": {"loss": 2.0, "bits_per_byte": 1.0}}
    assert _scalars("test_sets", sets) == [("test_loss/wiki", 2.0), ("test_bits_per_byte/wiki", 1.0)]
