"""What a run's folder keeps, what is taken from one, and saves that fail or go on in the background."""

from __future__ import annotations

import contextlib
import json
import resource

import pytest
import torch

from megatron_ext.checkpoint import manifest
from tests.checkpoint.saved_run import RUN, counts, restored, save, tensors
from tests.layouts.training_case import outcome, train_case
from tests.pool import CaseFailed


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


def trains_alone(launch, argv, other):
    """Train in a folder that another run of this process has for `other` seconds; what it said."""
    import pathlib
    import threading

    from megatron_ext.arguments.problems import UserError
    from megatron_ext.checkpoint import claim

    claim.PATIENCE = 1.0
    folder = pathlib.Path(argv[argv.index("--save") + 1])
    held = contextlib.ExitStack()
    if launch.rank == 0:
        claim._take(folder, held)
        threading.Timer(other, held.close).start()
    try:
        train_case(launch, argv, str(folder))
    except UserError as error:
        return str(error)
    finally:
        claim.PATIENCE = 20.0
        held.close()


def test_a_folder_has_one_run_at_a_time(pool, tmp_path):
    argv = [*RUN, "--train-iters", "2", "--save", str(tmp_path / "run")]
    said = pool.run(trains_alone, 2, argv, 30.0)
    assert all("is in use by process" in text and "give another folder" in text for text in said)
    assert not list(tmp_path.glob("run/iter_*"))
    assert pool.run(trains_alone, 2, argv, 0.3) == [None, None]  # an earlier process that is just ending is waited for
    assert names(tmp_path / "run") == ["iter_0000002"]


def trains_elsewhere(launch, argv, folder, late):
    """Train with rank 1 in a folder of its own, from the start or from the first save on; what was said."""
    import os

    from megatron_ext.arguments.problems import UserError
    from megatron_ext.checkpoint import claim
    from megatron_ext.training import loop

    begin, patience, step = os.getcwd(), claim.PATIENCE, loop.train_step
    claim.PATIENCE = 0.5

    def moved(run, state):
        if launch.rank == 1:
            os.chdir(f"{folder}/other")
        return step(run, state)

    try:
        os.chdir(folder)
        if late:
            loop.train_step = moved
        elif launch.rank == 1:
            os.chdir(f"{folder}/other")
        train_case(launch, argv, "run")
    except UserError as error:
        return str(error)
    finally:
        os.chdir(begin)
        claim.PATIENCE, loop.train_step = patience, step


def test_a_node_that_does_not_see_the_folder_is_named_at_the_start(pool, tmp_path):
    (tmp_path / "other").mkdir()
    said = pool.run(trains_elsewhere, 2, [*RUN, "--train-iters", "2"], str(tmp_path), False)
    assert all("process 1" in text and "does not see there what process 0 wrote" in text for text in said)


def test_files_that_lie_elsewhere_are_no_checkpoint(pool, tmp_path):
    """torch makes the folder on each node, so a save would seem to succeed, and pruning would delete the last whole one."""
    save(pool, tmp_path / "run", "--train-iters", "2")
    (tmp_path / "other").mkdir()
    argv = [*RUN, "--train-iters", "4", "--override-opt-param-scheduler", "--keep-last", "1"]
    said = pool.run(trains_elsewhere, 2, argv, str(tmp_path), True)
    assert all("__1_0.distcp: is not there; the folder must lie on a disk that all nodes share" in text for text in said)
    assert names(tmp_path / "run") == ["iter_0000002"]
    assert not list((tmp_path / "run").glob(".iter_*"))


def warned(launch, argv):
    """What a run says while it is restored."""
    from megatron_ext.monitor.monitor import Monitor

    said, own = [], Monitor.warn
    Monitor.warn = lambda monitor, sentence: said.append(sentence)
    try:
        restored(launch, argv, counts)
    finally:
        Monitor.warn = own
    return said


def test_what_an_update_does_otherwise_is_said(run, pool):
    changed = ["--hidden-dropout", "0.1", "--weight-decay", "0.3", "--bf16"]
    assert pool.run(warned, 1, ["--save", str(run), *changed[:2]]) == [[]]
    assert pool.run(warned, 1, ["--save", str(run), *changed]) == [
        ["updates differ from now on: --bf16 was False, is True; --weight-decay was 0.1, is 0.3"]
    ]


def test_a_batch_that_follows_the_processes_is_not_changed_by_them(pool, tmp_path):
    base = ["--num-layers", "1", "--hidden-size", "32", "--micro-batch-size", "2", *RUN[2:5], "--train-iters", "10"]
    pool.run(train_case, 1, base, str(tmp_path))
    with pytest.raises(CaseFailed, match="was trained with --global-batch-size 2, .* here to 4; give --global-batch-size"):
        pool.run(restored, 2, ["--save", str(tmp_path)], counts, base)
    assert pool.run(restored, 2, ["--save", str(tmp_path), "--global-batch-size", "4"], counts, base)[0]["iteration"] == 10


def test_another_vocabulary_of_the_same_padded_size_is_refused(run, pool):
    with pytest.raises(CaseFailed, match="--vocab-size was 300, is 299"):
        pool.run(restored, 1, ["--save", str(run), "--vocab-size", "299"], counts)
