"""Help in three sizes, quick answers, and errors as a person should see them: through the real program."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

from megatron_ext.arguments.flags import flags_of
from megatron_ext.training.configuration import GROUPS

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(*argv, environ=None):
    return subprocess.run(
        [sys.executable, str(ROOT / "pretrain_gpt.py"), *argv], capture_output=True, text=True, cwd=ROOT, env=environ
    )


def shown(text):
    return [line.split()[0] for line in text.splitlines() if line.startswith("  --")]


def test_help_shows_the_flags_that_matter_most():
    result = run("--help")
    assert result.returncode == 0
    assert 15 <= len(shown(result.stdout)) <= 25
    assert "--help all" in result.stdout


def test_help_of_a_group_and_of_all():
    every = [flag.option for group in GROUPS for flag in flags_of(group)]
    assert len(shown(run("--help", "all").stdout)) == len(every)
    optimizer = next(group for group in GROUPS if group.group_name == "optimizer")
    assert len(shown(run("--help", "optimizer").stdout)) == len(list(flags_of(optimizer)))


def test_help_of_an_unknown_group_says_which_there_are():
    result = run("--help", "optimiser")
    assert result.returncode == 2
    assert "did you mean optimizer?" in result.stderr


@pytest.mark.parametrize("argv", [["--help"], ["--num-layer", "2"]])
def test_help_and_wrong_flags_import_no_torch(argv):
    code = (
        f"import sys; sys.argv = ['pretrain_gpt.py', *{argv!r}]; sys.path.insert(0, {str(ROOT)!r})\n"
        "import pretrain_gpt\n"
        "try: pretrain_gpt.main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "assert 'torch' not in sys.modules and 'megatron' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT).returncode == 0


def test_wrong_flag_is_one_clear_block_and_exit_2():
    result = run("--num-layer", "2", "--mock-data")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith("pretrain_gpt.py: the configuration has 1 problem:")
    assert "did you mean --num-layers?" in result.stderr


def test_of_many_ranks_the_first_speaks():
    """Under torchrun, which ends all of them as soon as one has left."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "3", "pretrain_gpt.py"]
    result = subprocess.run([*command, "--num-layer", "2"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode != 0
    assert result.stderr.count("did you mean --num-layers?") == 1


def test_value_missing():
    result = run("--lr")
    assert result.returncode == 2
    assert "--lr: expected one argument" in result.stderr
