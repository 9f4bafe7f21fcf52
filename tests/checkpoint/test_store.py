"""What a run's folder keeps, what is taken from one, and saves that fail or go on in the background."""

from __future__ import annotations

import json
import resource

import pytest
import torch

from megatron_ext.checkpoint import manifest
from tests.checkpoint.saved_run import RUN, counts, restored, save, tensors
from tests.layouts.training_case import outcome, train_case


def names(folder):
    return sorted(path.name for path in folder.iterdir() if "iter" in path.name)


@pytest.mark.parametrize(("flags", "kept"), [
    (["--keep-last", "2"], [8, 10]),
    (["--keep-last", "1", "--keep-every", "4"], [4, 8, 10]),
    (["--keep-last", "1", "--async-save"], [10]),
    ([], [2, 4, 6, 8, 10]),
])  # fmt: skip
def test_keeps_as_many_as_asked(flags, kept, pool, tmp_path):
    save(pool, tmp_path, "--save-interval", "2", *flags)
    assert names(tmp_path) == [f"iter_{iteration:07d}" for iteration in kept]


@pytest.fixture(scope="module")
def run(pool, tmp_path_factory):
    """Checkpoints of iterations 3, 6, 9 and 10."""
    folder = tmp_path_factory.mktemp("run")
    save(pool, folder, "--save-interval", "3", "--hidden-dropout", "0.1")
    return folder


def moments(run, state):
    return [float(held["exp_avg"].abs().sum()) for *_, held in tensors(run, state)]


def test_ckpt_step_takes_that_one(run, pool):
    assert pool.run(restored, 1, ["--load", str(run), "--ckpt-step", "6"], counts)[0]["iteration"] == 6
    with pytest.raises(AssertionError, match="--ckpt-step 7: .* checkpoints in .*: 10, 3, 6, 9"):
        pool.run(restored, 1, ["--load", str(run), "--ckpt-step", "7"], counts)


def test_finetune_takes_the_weights_alone(run, pool):
    """Counts, moments and schedule start anew; the learning rate may be another."""
    argv = ["--load", str(run), "--finetune", "--lr", "1e-5"]
    assert set(pool.run(restored, 1, argv, counts)[0].values()) == {0}
    whole = pool.run(restored, 1, ["--load", str(run)], tensors)[0]
    for (_, _, _, ours), (_, _, _, theirs) in zip(pool.run(restored, 1, argv, tensors)[0], whole, strict=True):
        assert torch.equal(ours["weight"], theirs["weight"])
        assert not ours["exp_avg"].any() and theirs["exp_avg"].any()


def test_no_load_optim_takes_all_but_the_moments(run, pool):
    argv = ["--load", str(run), "--no-load-optim"]
    found = pool.run(restored, 1, argv, counts)[0]
    assert (found["iteration"], found["updates"]) == (10, 0)
    assert not any(pool.run(restored, 1, argv, moments)[0])


def next_random(run, state):
    return float(torch.rand(1))


def test_no_load_rng_leaves_the_generators_as_the_seed_gives_them(run, pool):
    fresh = pool.run(restored, 1, [], next_random)
    assert pool.run(restored, 1, ["--load", str(run), "--no-load-rng"], next_random) == fresh
    assert pool.run(restored, 1, ["--load", str(run)], next_random) != fresh


@pytest.mark.parametrize("flag", ["--finetune", "--no-load-optim", "--no-load-rng", "--ckpt-step=3"])
def test_a_part_of_the_runs_own_folder_is_refused(flag, run, pool):
    with pytest.raises(AssertionError, match="--load is this run's own folder, and the run goes on whole from iter_0000010"):
        pool.run(restored, 1, ["--load", str(run), "--save", str(run), flag], counts)


def test_another_schedule_is_refused_unless_accepted(run, pool):
    argv = ["--load", str(run), "--lr", "2e-3"]
    with pytest.raises(AssertionError, match="--lr was 0.001, is 0.002; .*--override-opt-param-scheduler"):
        pool.run(restored, 1, argv, counts)
    assert pool.run(restored, 1, [*argv, "--override-opt-param-scheduler"], counts)[0]["iteration"] == 10


@pytest.mark.parametrize(("argv", "world_size"), [([], 1), (["--zero-stage", "1", "--overlap-param-gather",
                                                             "--overlap-grad-reduce"], 2)])  # fmt: skip
def test_in_the_background_the_same_is_saved(argv, world_size, pool, tmp_path):
    """Training goes on while files are written: they must hold what was there when the save began."""
    for name, flags in {"plain": [], "async": ["--async-save"]}.items():
        save(pool, tmp_path / name, "--save-interval", "1", *argv, *flags, world_size=world_size)
    assert names(tmp_path / "plain") == names(tmp_path / "async")
    for name in names(tmp_path / "plain"):
        plain, background = (manifest.read(tmp_path / kind / name) for kind in ("plain", "async"))
        differ = {file for file, line in plain["files"].items() if background["files"][file] != line}
        assert differ <= {".metadata", "run.yaml"}  # they tell the folder and the flag


def fills_the_disk(launch, argv, folder, until):
    """Train with files of rank 1 limited in size, as a quota would, until after iteration `until`; what it came to."""
    from megatron_ext.arguments.problems import UserError
    from megatron_ext.training import loop

    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    step = loop.train_step

    def limited(run, state):
        if launch.rank == 1:
            size = 4096 if state.iteration < until else limit[0]
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))
        return step(run, state)

    loop.train_step = limited
    try:
        train_case(launch, argv, folder)
    except UserError as error:
        return str(error)
    finally:
        loop.train_step = step
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)


@pytest.mark.parametrize("flags", [[], ["--async-save"]])
def test_a_save_that_fails_on_one_rank_does_not_end_the_run(flags, pool, tmp_path):
    argv = [*RUN, "--save-interval", "4", *flags]
    assert pool.run(fills_the_disk, 2, argv, str(tmp_path), 6) == [None, None]
    assert names(tmp_path) == ["iter_0000008", "iter_0000010"]
    undisturbed = outcome(pool, argv, 2, tmp_path / "undisturbed")
    losses = [json.loads(line)["loss"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert losses == [record["loss"] for record in undisturbed.records]


@pytest.mark.parametrize("flags", [[], ["--async-save"]])
def test_a_last_save_that_fails_ends_the_run_with_a_sentence(flags, pool, tmp_path):
    said = pool.run(fills_the_disk, 2, [*RUN, *flags], str(tmp_path), 99)
    assert all(
        "iter_0000010 was not written, earlier checkpoints are untouched: [Errno 27] File too large" in text for text in said
    )
    assert not list(tmp_path.glob("iter_*"))
