"""What training reads is one sequence of samples, whatever the layout, the batch, the workers, the length and the stops."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from tests.data.pairs import write_pair
from tests.layouts.training_case import outcome

BASE = ["--preset", "tiny", "--num-layers", "2", "--vocab-size", "200", "--seq-length", "16", "--global-batch-size", "8",
        "--lr-decay-iters", "20", "--train-iters", "5"]  # fmt: skip


@pytest.fixture(scope="module")
def blend(tmp_path_factory):
    """`--data-path` of two pairs by weight; the smaller is read several times over."""
    folder, draw = tmp_path_factory.mktemp("blend"), np.random.default_rng(0)
    prefixes = [
        write_pair(folder / name, [draw.integers(low, low + 100, draw.integers(0, 50)).tolist() for _ in range(count)])
        for name, low, count in (("a", 0, 80), ("b", 100, 6))
    ]
    return ["--data-path", "0.6", prefixes[0], "0.4", prefixes[1], "--split", "1"]


def losses(pool, folder, argv, world_size=1):
    return {record["iteration"]: record["loss"] for record in outcome(pool, [*BASE, *argv], world_size, folder).records}


@pytest.fixture(scope="module")
def plain(pool, blend, tmp_path_factory):
    return losses(pool, tmp_path_factory.mktemp("plain"), [*blend, "--micro-batch-size", "1"])


@pytest.mark.parametrize(("world_size", "flags"), [
    (1, ["--micro-batch-size", "8", "--num-workers", "0"]),
    (1, ["--micro-batch-size", "2", "--num-workers", "5"]),
    (1, ["--micro-batch-size", "1", "--mmap-bin-files"]),
    (2, ["--micro-batch-size", "2"]),
    (4, ["--micro-batch-size", "1"]),
    (2, ["--micro-batch-size", "1", "--pipeline-model-parallel-size", "2", "--num-virtual-stages-per-pipeline-rank", "2",
         "--num-layers", "4"]),
    (1, ["--micro-batch-size", "1", "--train-iters", "7"]),
])  # fmt: skip
def test_losses_are_the_same(world_size, flags, pool, blend, plain, tmp_path):
    expected = plain
    if "--num-layers" in flags:  # interleaving takes a layer a chunk
        expected = losses(pool, tmp_path / "deep", [*blend, "--micro-batch-size", "1", "--num-layers", "4"])
    found = losses(pool, tmp_path / "run", [*blend, *flags], world_size)
    for iteration, loss in expected.items():
        assert found[iteration] == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("stop", [1, 3])
def test_a_stop_changes_nothing(stop, pool, blend, plain, tmp_path):
    argv = [*blend, "--micro-batch-size", "1"]
    losses(pool, tmp_path, [*argv, "--exit-interval", str(stop)])
    assert losses(pool, tmp_path, argv) == plain


def test_changed_data_is_refused_and_moved_data_is_not(pool, blend, plain, tmp_path):
    argv = [*blend, "--micro-batch-size", "1"]
    losses(pool, tmp_path / "run", [*argv, "--exit-interval", "2"])
    heavier = ["--data-path", "0.7", blend[2], "0.3", *blend[4:], "--micro-batch-size", "1"]
    with pytest.raises(AssertionError, match=r"data set 1 \(a\): its weight was 3/5, is 7/10.*--accept-changed-data"):
        losses(pool, tmp_path / "run", heavier)
    shutil.copytree(tmp_path / "run", tmp_path / "again")
    changed = losses(pool, tmp_path / "again", [*heavier, "--accept-changed-data"])
    assert len(changed) == 5 and changed != plain
    moved = []
    for word in argv:
        if os.path.exists(word + ".bin"):
            for end in (".bin", ".idx"):
                shutil.copy(word + end, tmp_path / f"moved_{os.path.basename(word)}{end}")
            word = str(tmp_path / f"moved_{os.path.basename(word)}")
        moved.append(word)
    assert losses(pool, tmp_path / "run", moved) == plain


def threads(launch, argv):
    """Threads that read samples once a first batch was taken."""
    import threading

    from megatron_ext.training.build import build
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    config = read_configuration([*BASE, *argv, "--device", "cpu"], launch.world_size)
    with processes(launch, config) as device:
        run = build(config, device)
        with run.loader:
            list(run.loader.batches(run.train_samples, 0, 8))
            return sum(thread.name.startswith("samples") for thread in threading.enumerate())


@pytest.mark.parametrize(("workers", "expected"), [("0", 0), ("1", 1), ("3", 3)])
def test_workers_are_threads(workers, expected, pool, blend):
    assert pool.run(threads, 1, [*blend, "--num-workers", workers]) == [expected]


def on_a_node_of_its_own(launch, argv, folders):
    """What a process is told on a node whose disk is `folders[rank]`."""
    from megatron_ext.arguments.problems import UserError
    from megatron_ext.training.build import build
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes

    os.environ["SLURMD_NODENAME"] = f"node{launch.rank}"
    os.chdir(folders[launch.rank])
    try:
        config = read_configuration([*BASE, *argv, "--device", "cpu"], launch.world_size)
        with processes(launch, config) as device:
            return build(config, device).train_samples.fingerprint["sets"][0]["xxh3"]
    except UserError as error:
        return str(error)
    finally:
        os.environ.pop("SLURMD_NODENAME")
        os.chdir("/")


def test_nodes_with_disks_of_their_own_must_hold_the_same_data(pool, tmp_path):
    folders = [tmp_path / name for name in ("first", "same", "other")]
    for folder in folders:
        folder.mkdir()
        write_pair(folder / "a", [list(range(150))] * 3 if folder.name != "other" else [list(range(1, 151))] * 3)
    argv = ["--data-path", "a", "--split", "1", "--no-shared-storage"]
    equal = pool.run(on_a_node_of_its_own, 2, argv, [str(folders[0]), str(folders[1])])
    assert equal[0] == equal[1] and len(equal[0]) == 32
    for said in pool.run(on_a_node_of_its_own, 2, argv, [str(folders[0]), str(folders[2])]):
        assert said == "the training data: node node1 does not have the same as node node0; copy it there again"
    trusting = pool.run(on_a_node_of_its_own, 2, argv[:-1], [str(folders[0]), str(folders[2])])
    assert trusting[0] == trusting[1] == equal[0]  # the first process looks for all
    for said in pool.run(on_a_node_of_its_own, 2, argv, [str(folders[0]), str(tmp_path)]):
        assert said == (
            "the training data: --data-path a: a.idx does not exist; give the prefix that tools/preprocess_data.py wrote, "
            "without .bin or .idx"
        )


def cut_off(launch, argv, path):
    """Train while the data is cut off after the second update; what the user is told, and the threads that are left."""
    import threading

    from megatron_ext.arguments.problems import UserError
    from megatron_ext.training.build import build
    from megatron_ext.training.configuration import read_configuration
    from megatron_ext.training.layout import processes
    from megatron_ext.training.loop import train

    config = read_configuration([*BASE, *argv, "--device", "cpu"], launch.world_size)
    with processes(launch, config) as device:
        run = build(config, device)
        step = run.monitor.step

        def after(state, *rest):
            step(state, *rest)
            if state.iteration == 2:
                os.truncate(path, 100)

        run.monitor.step = after
        try:
            with run.loader:
                train(run)
        except UserError as error:
            return str(error), sum(thread.name.startswith("samples") for thread in threading.enumerate())


@pytest.mark.parametrize("workers", ["0", "2"])
def test_data_cut_off_during_a_run_ends_it_in_a_sentence(workers, pool, tmp_path):
    prefix = write_pair(tmp_path / "a", [[number % 200] * 30 for number in range(400)])
    argv = ["--data-path", prefix, "--split", "1", "--num-workers", workers, "--train-iters", "100"]
    (found,) = pool.run(cut_off, 1, argv, prefix + ".bin")
    assert found == (
        f"--data-path {prefix}: {prefix}.bin has 100 bytes and its index tells of 48000; the pair does not belong together or is "
        "cut off: run tools/preprocess_data.py again",
        0,
    )
