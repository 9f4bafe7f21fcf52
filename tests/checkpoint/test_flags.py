"""What `--load` and `--save` may name: a run's folder, by whatever path; one checkpoint in it, where that makes sense."""

from __future__ import annotations

import pytest

from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.training.configuration import read_configuration

MOCK = ["--preset", "tiny", "--mock-data", "--vocab-size", "300", "--train-iters", "2"]


@pytest.fixture
def inside(tmp_path, monkeypatch):
    """Inside a folder with a run, which has a checkpoint of its second update."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run" / "iter_0000002").mkdir(parents=True)
    (tmp_path / "run" / "iter_0000002" / "manifest.json").write_text("{}")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "config.json").write_text("{}")
    (tmp_path / "theirs" / "model.safetensors").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize("line", [
    "--load new/ --save new", "--load new --save ./new", "--load {0}/new --save new", "--load run/iter_0000002",
    "--load run/iter_0000002 --save new", "--load run --ckpt-step 2", "--load run/ --save run",
])  # fmt: skip
def test_taken(line, inside):
    words = line.format(inside).split()
    assert read_configuration([*MOCK, *words], 1).checkpoint.load == words[1]


@pytest.mark.parametrize(("line", "problem"), [
    ("--load none --save new", "--load none: is no folder; give the folder that training saved to"),
    ("--load run/iter_0000003", "--load run/iter_0000003: is no folder"),
    ("--load run/iter_0000002/ --ckpt-step 2", "--ckpt-step 2: chooses from a run's folder, and --load run/iter_0000002/ is one "
     "checkpoint; give the run's folder: --load run --ckpt-step 2"),
    ("--load run/iter_0000002 --save {0}/run", "--load run/iter_0000002: is a checkpoint of this run's own folder, and the run "
     "goes on from its newest; give another --save, with --load run --ckpt-step 2"),
    ("--load theirs --save theirs", "--save theirs: is a folder of Hugging Face's, and a run would write into it"),
    ("--load run/iter_0000002 --save run/iter_0000002", "--save run/iter_0000002: is one checkpoint of a run; give the run's "
     "folder: --save run"),
])  # fmt: skip
def test_refused(line, problem, inside):
    with pytest.raises(ConfigurationError) as caught:
        read_configuration([*MOCK, *line.format(inside).split()], 1)
    (found,) = caught.value.problems
    assert str(found).startswith(problem)
