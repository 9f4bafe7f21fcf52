"""Whatever is wrong with any file of a checkpoint is found, and the file named."""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile

import pytest

from megatron_ext.arguments.problems import UserError
from megatron_ext.checkpoint import manifest
from megatron_ext.checkpoint.saved_arguments import saved_arguments
from megatron_ext.checkpoint.verification import find_checkpoint, is_foreign
from tests.checkpoint.saved_run import counts, restored, save
from tests.data.pairs import told_without_rights
from tests.pool import CaseFailed

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


@pytest.mark.parametrize("option", ["--save", "--load"])
def test_where_none_is_whole_nothing_starts_over_or_is_renamed(option, run, pool, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    for path in (tmp_path / "run").glob("iter_*"):
        cut(path / "__0_0.distcp")
    with pytest.raises(CaseFailed, match=r"none of its 2 checkpoint\(s\) is whole; to start anew, move them away"):
        pool.run(restored, 2, [option, str(tmp_path / "run")], counts)
    assert sorted(path.name for path in (tmp_path / "run").glob("iter_*")) == ["iter_0000002", "iter_0000004"]


def restored_blindly(launch, argv, error):
    """Restore while reading a manifest fails on rank 1."""
    from megatron_ext.checkpoint import manifest

    read = manifest.pathlib.Path.read_text

    def blind(path, *args, **kwargs):
        if launch.rank == 1 and path.name == manifest.MANIFEST:
            raise error
        return read(path, *args, **kwargs)

    manifest.pathlib.Path.read_text = blind
    try:
        return restored(launch, argv, counts)
    finally:
        manifest.pathlib.Path.read_text = read


@pytest.mark.parametrize(("error", "said"), [
    (FileNotFoundError(2, "No such file or directory"), "process 0 finds it whole, process 1 finds .*manifest.json"),
    (PermissionError(13, "Permission denied"), "iter_0000004: cannot be read on .*; if that cannot be mended, move this"),
])  # fmt: skip
def test_what_one_process_cannot_see_is_no_damage(error, said, run, pool, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    with pytest.raises(CaseFailed, match=said):
        pool.run(restored_blindly, 2, ["--zero-stage", "1", "--save", str(tmp_path / "run")], error)
    assert sorted(path.name for path in (tmp_path / "run").glob("iter_*")) == ["iter_0000002", "iter_0000004"]


@pytest.mark.parametrize("damage", [
    lambda path: (path / ".metadata").write_bytes(b"junk"),
    lambda path: cut(path / "__1_0.distcp"),
    lambda path: (path / "__0_0.distcp").unlink(),
], ids=["index", "cut", "deleted"])  # fmt: skip
def test_one_without_a_manifest_is_passed_over_by_its_index(damage, run, pool, tmp_path):
    """As Megatron-LM's are."""
    shutil.copytree(run, tmp_path / "run")
    for name in ("manifest.json", "run.yaml"):
        (tmp_path / "run" / "iter_0000004" / name).unlink()
    assert is_foreign(tmp_path / "run" / "iter_0000004")
    damage(tmp_path / "run" / "iter_0000004")
    assert pool.run(restored, 1, ["--load", str(tmp_path / "run")], counts)[0]["iteration"] == 2


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_text(path.read_text().replace(":", "!"))],
                         ids=["deleted", "spoiled"])  # fmt: skip
def test_arguments_are_taken_from_a_whole_one(damage, run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    damage(tmp_path / "run" / "iter_0000004" / "run.yaml")
    assert find_checkpoint("--load", str(tmp_path / "run")).name == "iter_0000002"
    assert saved_arguments(None, str(tmp_path / "run"), None)["num_layers"] == 2
    with pytest.raises(UserError, match=r"run: no checkpoint in this folder is whole: .*run.yaml"):
        saved_arguments(None, str(tmp_path / "run"), 4)


def test_a_folder_without_rights_is_one_sentence():
    with tempfile.TemporaryDirectory() as folder:
        closed = pathlib.Path(folder) / "closed"
        closed.mkdir(mode=0o700)
        os.chmod(folder, 0o755)
        assert told_without_rights(lambda: find_checkpoint("--load", str(closed))) == (
            f"--load {closed}: cannot be read (Permission denied)"
        )
