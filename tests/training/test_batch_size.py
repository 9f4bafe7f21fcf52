"""The growing batch, against megatron-core's calculator and against the run counted out update by update."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from megatron_ext.training.batch_size import batch_size, samples_in, sizes, updates_for
from megatron_ext.training.configuration import read_configuration, train_iterations
from tests.arguments.test_config import problems
from tests.layouts.training_case import outcome
from tests.training.test_resume import same_training


@st.composite
def ramps(draw):
    start, increment, steps = draw(st.integers(1, 8)), draw(st.integers(1, 8)), draw(st.integers(1, 6))
    return SimpleNamespace(
        global_batch_size=start + increment * steps, rampup_batch_size=(start, increment, draw(st.integers(1, 300)))
    )


@given(ramps(), st.integers(0, 400))
@settings(max_examples=300, deadline=None)
def test_equals_megatron_cores_calculator(ramp, consumed):
    from megatron.core.num_microbatches_calculator import RampupBatchsizeNumMicroBatchesCalculator

    start, increment, samples = ramp.rampup_batch_size
    steps = (ramp.global_batch_size - start) // increment
    # megatron-core divides in floating point, which on the very border can fall short by one step
    assume(consumed > samples or consumed * steps % samples or samples % steps == 0)
    theirs = RampupBatchsizeNumMicroBatchesCalculator(ramp.global_batch_size, 1, 1, False, 1, start, increment, samples)
    theirs.update(consumed, consistency_check=True)
    assert batch_size(ramp, consumed) == theirs.current_global_batch_size
    assert batch_size(ramp, consumed) in sizes(ramp)


@given(ramps(), st.integers(1, 500))
@settings(max_examples=300, deadline=None)
def test_lengths_are_those_of_the_run_counted_out(ramp, samples):
    consumed, updates = 0, 0
    while consumed < samples:
        assert samples_in(ramp, updates) == consumed
        consumed, updates = consumed + batch_size(ramp, consumed), updates + 1
    assert updates_for(ramp, samples) == updates


def test_without_a_ramp_the_batch_stays():
    plain = SimpleNamespace(global_batch_size=8, rampup_batch_size=None)
    assert (batch_size(plain, 10**9), sizes(plain), updates_for(plain, 17), samples_in(plain, 3)) == (8, [8], 3, 24)


BASE = ["--preset", "tiny", "--num-layers", "2", "--vocab-size", "200", "--seq-length", "16", "--mock-data",
        "--micro-batch-size", "2", "--global-batch-size", "8", "--rampup-batch-size", "2", "2", "18"]  # fmt: skip
GROWING = [2, 2, 2, 4, 4, 6, 8, 8, 8]  # thresholds at 6 and 12, and the full batch from 18 on
RUN = [*BASE, "--train-samples", "42", "--lr", "1e-2"]


@pytest.fixture(scope="module")
def run(pool, tmp_path_factory):
    return outcome(pool, [*RUN, "--eval-interval", "3", "--eval-iters", "1"], 1, tmp_path_factory.mktemp("growing"))


def test_the_run_grows_and_says_so(run):
    assert [record["global_batch_size"] for record in run.records] == GROWING
    assert [record["consumed_samples"] for record in run.records] == [sum(GROWING[: n + 1]) for n in range(9)]
    assert run.records[-1]["consumed_tokens"] == 44 * 16
    # The rate goes by samples: warm-up of one sample, then cosine over the run's 44.
    config = read_configuration(RUN, 1)
    assert train_iterations(config) == 9
    from megatron_ext.optim.schedules import learning_rate, way

    rates = [learning_rate(sum(GROWING[: n + 1]), config.optimizer, way(config.optimizer, 44, True)) for n in range(9)]
    assert [record["learning_rate"] for record in run.records] == pytest.approx(rates)


def test_trains_on_each_sample_once_in_order(run, pool, tmp_path):
    """While it has two samples an update is that of a run whose batch always has two."""
    steady = outcome(
        pool,
        [*BASE[:-4], "--global-batch-size", "2", "--train-iters", "3", "--lr", "1e-2", "--lr-decay-samples", "44"],
        1,
        tmp_path,
    )
    assert [r["loss"] for r in steady.records] == [r["loss"] for r in run.records[:3]]


def test_evaluation_is_of_the_full_batch(run, pool, tmp_path):
    """The same samples before and after the batch has grown."""
    assert [r["iteration"] for r in run.records if "eval_loss" in r] == [3, 6, 9]
    full = [*BASE[:-4], "--train-iters", "1", "--lr", "1e-9", "--eval-interval", "1", "--eval-iters", "1"]
    grows = [*BASE, "--train-iters", "1", "--lr", "1e-9", "--eval-interval", "1", "--eval-iters", "1"]
    losses = [outcome(pool, argv, 1, tmp_path / name).records[0]["eval_loss"] for name, argv in (("a", full), ("b", grows))]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_resumes_bit_by_bit_in_mid_growth(run, pool, tmp_path):
    outcome(pool, [*RUN, "--exit-interval", "4"], 1, tmp_path)
    resumed = outcome(pool, RUN, 1, tmp_path)
    drop = {"eval_loss"}
    straight = [{k: v for k, v in same_training(r).items() if k not in drop} for r in run.records]
    assert list(map(same_training, resumed.records)) == straight
    for name, tensor in run.final.items():
        assert resumed.final[name].equal(tensor), name


def test_layouts_agree(run, pool, tmp_path):
    spread = outcome(pool, [*RUN, "--micro-batch-size", "1", "--zero-stage", "1"], 2, tmp_path)
    assert [r["loss"] for r in spread.records] == pytest.approx([r["loss"] for r in run.records], rel=1e-5)


@pytest.mark.parametrize(("argv", "says"), [
    (["4", "4"], "takes three numbers"),
    (["8", "4", "16"], "starts at 8, not below --global-batch-size 8"),
    (["3", "2", "16"], "does not reach --global-batch-size 8 from 3 in steps of 2"),
    (["5", "1", "16"], "reaches 5, which is not a multiple of --micro-batch-size 2 × 1"),
    (["2", "2", "16", "--pipeline-model-parallel-size", "2", "--num-virtual-stages-per-pipeline-rank", "2"],
     "reaches 2, which makes 1 micro-batches, and interleaving 2 stages"),
    (["2", "2", "16", "--lr-warmup-samples", "99"], "is not below the 44 samples of the decay"),
])  # fmt: skip
def test_what_does_not_fit_is_refused_at_the_start(argv, says):
    base = ["--mock-data", "--vocab-size", "9", "--train-samples", "42", "--global-batch-size", "8", "--micro-batch-size", "2"]
    assert says in "\n".join(
        map(str, problems([*base, "--rampup-batch-size", *argv], 2 if "--pipeline" in " ".join(argv) else 1))
    )
