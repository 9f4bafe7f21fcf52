"""Whatever is wrong with any file of a checkpoint is found, and the file named."""

from __future__ import annotations

import shutil

import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.checkpoint import manifest
from tests.checkpoint.saved_run import counts, restored, save

FILES = [".metadata", "__0_0.distcp", "__1_0.distcp", "common.pt", "manifest.json", "metadata.json", "run.yaml"]


def cut(path):
    path.write_bytes(path.read_bytes()[:-7])


def flip(path):
    """One bit, in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


@pytest.fixture(scope="module")
def run(pool, tmp_path_factory):
    """Checkpoints of iterations 2 and 4, by two processes."""
    folder = tmp_path_factory.mktemp("run")
    save(pool, folder, "--zero-stage", "1", "--save-interval", "2", "--exit-interval", "4", world_size=2)
    return folder


def test_these_are_all_files(run):
    assert sorted(path.name for path in (run / "iter_0000004").iterdir()) == FILES


@pytest.mark.parametrize("damage", [cut, flip, lambda path: path.unlink()], ids=["cut", "bit flipped", "deleted"])
@pytest.mark.parametrize("name", FILES)
def test_damage_is_found_and_named(name, damage, run, tmp_path):
    folder = tmp_path / "iter_0000004"
    shutil.copytree(run / "iter_0000004", folder)
    damage(folder / name)
    try:
        problem = manifest.problem_of(folder, manifest.read(folder))
    except UserError as error:
        problem = str(error)
    assert name in problem


def test_processes_share_the_reading(run):
    folder = run / "iter_0000004"
    content = manifest.read(folder)
    content["files"]["__1_0.distcp"]["xxh3"] = "0" * 32
    found = [manifest.problem_of(folder, content, share, 3) for share in range(3)]
    assert len([problem for problem in found if problem]) == 1


@pytest.mark.parametrize("name", [".metadata", "__1_0.distcp", "manifest.json"])
def test_the_damaged_one_is_set_aside_and_the_earlier_taken(name, run, pool, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    flip(tmp_path / "run" / "iter_0000004" / name)
    argv = ["--zero-stage", "1", "--save", str(tmp_path / "run")]
    assert [found["iteration"] for found in pool.run(restored, 2, argv, counts)] == [2, 2]
    assert sorted(path.name for path in (tmp_path / "run").glob("iter_*")) == ["iter_0000002", "iter_0000004.damaged"]


def test_a_folder_to_load_from_is_left_as_it_is(run, pool, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    flip(tmp_path / "run" / "iter_0000004" / "__0_0.distcp")
    found = pool.run(restored, 1, ["--load", str(tmp_path / "run")], counts)
    assert found[0]["iteration"] == 2
    assert (tmp_path / "run" / "iter_0000004").is_dir()
